"""Stand-ins for the libraries that a release imports on its way to its argument parser.

A parser needs torch and the like for names in annotations and for classes to inherit from, not for
what they do. What does parse and validate is real: the release's own source, argparse, pydantic,
regex, PyYAML, msgspec and ZeroMQ.
"""

import abc
import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
import types
from collections.abc import Iterator
from typing import Any, Union

LIBRARIES = frozenset(
    {
        *("torch", "transformers", "huggingface_hub", "safetensors", "gguf", "numpy", "numba"),
        *("mistral_common", "openai", "openai_harmony", "anthropic", "xgrammar", "llguidance"),
        *("fastapi", "starlette", "uvicorn", "uvloop", "aiohttp", "requests", "urllib3"),
        *("prometheus_client", "PIL", "jinja2", "partial_json_parser", "cloudpickle", "cbor2"),
        *("blake3", "pybase64", "cpuinfo", "setproctitle", "tokenizers", "tqdm", "einops"),
        *("watchfiles", "prometheus_fastapi_instrumentator", "diskcache"),
        *("model_hosting_container_standards", "filelock", "lmformatenforcer", "orjson"),
        # Not a library but vLLM's own compute kernels: they ask torch to inspect functions.
        "vllm.ir",
    }
)


class _Name(abc.ABCMeta):
    """The class of everything that a stand-in has: a class, a function, a constant, whatever is asked.

    It can be inherited from, called, used as a decorator, as a type and in comparisons.
    """

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _name(f"{cls.__qualname__}.{name}")
        setattr(cls, name, made)
        return made

    def __call__(cls, *args: Any, **more: Any) -> Any:
        if "_is_stub" not in cls.__dict__:  # a class of the release that inherits from a stand-in
            return super().__call__(*args, **more)
        is_decorator = len(args) == 1 and not more and callable(args[0])
        return args[0] if is_decorator else cls

    def register(cls, *args: Any, **more: Any) -> Any:
        """Not that of ABCMeta: AutoConfig.register of transformers, say."""
        return cls

    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415 - only the worker's Python has it

        return core_schema.any_schema()

    def __or__(cls, other: Any) -> Any:
        return Union[cls, other]  # noqa: UP007 - of classes that are known at run time only

    def __ror__(cls, other: Any) -> Any:
        return Union[other, cls]  # noqa: UP007

    def __getitem__(cls, key: Any) -> Any:
        return cls

    def __iter__(cls) -> Iterator[Any]:
        return iter(())

    def __len__(cls) -> int:
        return 0

    def __bool__(cls) -> bool:
        return False

    def __add__(cls, other: Any) -> Any:
        return other

    __radd__ = __add__

    def __lt__(cls, other: Any) -> bool:
        return False

    __gt__ = __le__ = __ge__ = __lt__

    def __enter__(cls) -> Any:
        return cls

    def __exit__(cls, *error: object) -> None:
        return None


def _name(path: str) -> _Name:
    return _Name(path.rpartition(".")[2], (), {"_is_stub": True, "__qualname__": path})


class _Library(types.ModuleType):
    """A module that has whatever it is asked for."""

    __version__ = "99.0.0"  # releases compare it: new enough for all they want

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _name(name)
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for the libraries before Python looks for real ones."""

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        parts = fullname.split(".")
        if LIBRARIES.isdisjoint(".".join(parts[:count]) for count in (1, 2)):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Library(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


def install() -> None:
    """Let imports of :data:`LIBRARIES` find stand-ins from now on."""
    sys.meta_path.insert(0, _Finder())
    torch: Any = importlib.import_module("torch")
    # Bounds of pydantic fields (seed); they must be numbers.
    bounds = types.SimpleNamespace(min=-(2**63), max=2**63 - 1)
    torch.iinfo = torch.finfo = lambda kind: bounds
    real_version = importlib.metadata.version

    def version(name: str) -> str:
        return _Library.__version__ if name in LIBRARIES else real_version(name)

    vars(importlib.metadata)["version"] = version
