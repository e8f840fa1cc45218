"""Which container runs the engine, how it is launched, which version it is and which dialect it takes."""

from __future__ import annotations

import enum
import re
from itertools import pairwise
from pathlib import PurePosixPath

from kvsync.core.arguments import int_of, value_of
from kvsync.core.releases import FIRST_CONFIG_JSON, FIRST_FLAGS
from kvsync.model.finding import EngineFinding, Refusal, VersionSource
from kvsync.model.image import Image, parse_image
from kvsync.model.reasons import ModelReason
from kvsync.model.spec import Dialect, EngineSpec
from kvsync.model.version import Version, parse_version
from kvsync.model.workload import Container, Deployment

DEFAULT_HTTP_PORT = 8000
"""vLLM's ``--port`` default."""

_API_SERVER_MODULE = "vllm.entrypoints.openai.api_server"
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh"})
_RUNS_TEXT = re.compile(r"^-[a-zA-Z]*c$")


class Launch(enum.StrEnum):
    """How a container starts, as far as appended arguments are concerned."""

    DIRECT = "direct"
    """The words are the engine's own command line: arguments can be appended."""
    SHELL = "shell"
    """A shell runs a script: appended arguments would become the script's ``$0``, ``$1``."""
    OTHER = "other"
    """No engine that we know."""


def launch_of(container: Container) -> Launch:
    """How the container starts an engine, if it does."""
    if _runs_shell(container.words):
        mentions = any("vllm" in word for word in container.words[1:])
        return Launch.SHELL if mentions or _is_engine_image(container) else Launch.OTHER
    if _names_vllm(container.words):
        return Launch.DIRECT
    if not container.command and _is_engine_image(container):
        return Launch.DIRECT
    return Launch.OTHER


def _runs_shell(words: tuple[str, ...]) -> bool:
    """Whether a shell starts first, or behind a wrapper (``tini -- bash -c …``)."""
    if words[:1] and _is_shell(words[0]):
        return True
    return any(_is_shell(word) and _RUNS_TEXT.match(option) for word, option in pairwise(words))


def _is_shell(word: str) -> bool:
    return PurePosixPath(word).name in _SHELLS


def _names_vllm(words: tuple[str, ...]) -> bool:
    if _API_SERVER_MODULE in words:
        return True
    names = [PurePosixPath(word).name for word in words]
    return any(name == "vllm" and following == "serve" for name, following in pairwise(names))


def _is_engine_image(container: Container) -> bool:
    return "vllm" in parse_image(container.image).basename


def is_upstream_image(image: Image) -> bool:
    """Whether an image is upstream's own build, ``vllm/vllm-openai``, also through a mirror."""
    return image.basename == "vllm-openai"


def find_engine_container(deployment: Deployment, wanted: str = "") -> Container | Refusal:
    """The container that runs the engine: the one named, or the only one that looks like one."""
    if wanted:
        return deployment.container(wanted) or Refusal(
            ModelReason.NO_ENGINE_CONTAINER,
            f"Deployment {deployment.name} has no container named {wanted!r}.",
            f"Set spec.engine.container to one of: {_names(deployment.containers)}.",
        )
    engines = [c for c in deployment.containers if launch_of(c) is not Launch.OTHER]
    if len(engines) == 1:
        return engines[0]
    if not engines:
        return Refusal(
            ModelReason.NO_ENGINE_CONTAINER,
            f"No container of Deployment {deployment.name} is known to run vLLM.",
            f"Set spec.engine.container to the one that does: {_names(deployment.containers)}.",
        )
    return Refusal(
        ModelReason.SEVERAL_ENGINES,
        f"Deployment {deployment.name} has several containers that run vLLM: {_names(engines)}.",
        "Set spec.engine.container to the one that shall publish events.",
    )


def _names(containers: tuple[Container, ...] | list[Container]) -> str:
    return ", ".join(c.name for c in containers)


def find_engine(
    deployment: Deployment,
    spec: EngineSpec,
    running_version: str | None,
    written: Dialect | None = None,
) -> EngineFinding | Refusal:
    """Everything that must be known of a workload's engine before it may be changed.

    Args:
        deployment: the workload, without our own changes.
        spec: what the object says of the engine.
        running_version: what the running engine's ``GET /version`` answered, if it was asked.
        written: the dialect that we wrote and that stands on the engine now, if we did.
    """
    container = find_engine_container(deployment, spec.container)
    if isinstance(container, Refusal):
        return container
    if _runs_shell(container.words):  # also where the object names it and no word tells vllm
        return _shell_wrapped(deployment, container)
    version, source = find_version(container, spec, running_version)
    dialect = find_dialect(container, spec.dialect, version, source)
    if isinstance(dialect, Refusal) and version is None and written is not None:
        # The engine that told its version restarts with it; its silence is no reason to doubt.
        dialect = written
    if isinstance(dialect, Refusal):
        return dialect
    return EngineFinding(
        container=container.name,
        image=container.image,
        version=version,
        version_source=source,
        dialect=dialect,
        http_port=int_of(container.words, "port") or DEFAULT_HTTP_PORT,
        served_model=value_of(container.words, "served-model-name") or "",
    )


def _shell_wrapped(deployment: Deployment, container: Container) -> Refusal:
    return Refusal(
        ModelReason.SHELL_WRAPPED,
        f"Container {container.name} of Deployment {deployment.name} starts through a shell "
        "script; arguments added to it would not reach vLLM.",
        "Start vLLM without a shell (command: [vllm, serve, …]), or add --kv-events-config to the "
        "script yourself.",
    )


def find_version(
    container: Container, spec: EngineSpec, running_version: str | None
) -> tuple[Version | None, VersionSource]:
    """The engine's version and how it was found: the object, the image tag, the running engine."""
    image = parse_image(container.image)
    candidates = (
        (parse_version(spec.version), VersionSource.SPEC),
        (_tagged_version(image), VersionSource.TAG),
        (parse_version(running_version or ""), VersionSource.RUNNING),
    )
    found = ((version, source) for version, source in candidates if version is not None)
    return next(found, (None, VersionSource.UNKNOWN))


def _tagged_version(image: Image) -> Version | None:
    """vLLM's release that a tag names; other builds than upstream's may count releases of their own.

    A name without vllm in it does, and so does a number that vLLM has not reached (``25.09``).
    """
    version = image.version if "vllm" in image.basename else None
    own_count = version is not None and version.major > 0 and not is_upstream_image(image)
    return None if own_count else version


def find_dialect(
    container: Container, wanted: Dialect, version: Version | None, source: VersionSource
) -> Dialect | Refusal:
    """The dialect to write; refused rather than guessed, since a wrong one crashes the engine."""
    if wanted is not Dialect.AUTO:
        return wanted
    image = parse_image(container.image)
    if version is None:
        rolling = image.is_rolling and is_upstream_image(image)
        return Dialect.CONFIG_JSON if rolling else _dialect_unknown(container)
    if version >= FIRST_CONFIG_JSON:
        return Dialect.CONFIG_JSON
    if version < FIRST_FLAGS or is_upstream_image(image):
        return Refusal(
            ModelReason.ENGINE_TOO_OLD,
            f"vLLM {version} (found by: {source}) has no KV events; its parser refuses the flags.",
            f"Use vLLM {FIRST_CONFIG_JSON} or newer, or set spec.engine.dialect to Flags if this "
            "build takes --enable-kv-cache-events.",
        )
    return Dialect.FLAGS


def _dialect_unknown(container: Container) -> Refusal:
    return Refusal(
        ModelReason.DIALECT_UNKNOWN,
        f"The version of image {container.image!r} is unknown: its tag names no release and no "
        "running engine has told it.",
        "Set spec.engine.version (or spec.engine.dialect: ConfigJSON for vLLM 0.9.0 and newer).",
    )
