"""``model`` and ``core`` stay pure, packages stay doorplates: kept by reading the code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

OPERATOR = Path(__file__).resolve().parents[1] / "operator"
PACKAGE = OPERATOR / "kvsync"
PURE = sorted(path for room in ("model", "core") for path in (PACKAGE / room).rglob("*.py"))

FORBIDDEN_MODULES = frozenset(
    {
        "asyncio",
        "logging",
        "os",
        "random",
        "secrets",
        "select",
        "shutil",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
    }
)
FORBIDDEN_CALLS = frozenset({"open", "print", "input", "exec", "eval"})
FORBIDDEN_ATTRIBUTES = frozenset({"now", "utcnow", "today"})
FORBIDDEN_NODES = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)


def impurities(source: str) -> Iterator[str]:
    """What in a module does input or output, or reads the clock, or rolls dice."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module.split(".")[0] in FORBIDDEN_MODULES:
                yield module
            if module == "pathlib" and any(not a.name.startswith("Pure") for a in node.names):
                yield "pathlib.Path"
        elif isinstance(node, FORBIDDEN_NODES):
            yield type(node).__name__
        elif isinstance(node, ast.Call):
            yield from _called(node.func)


def _called(function: ast.expr) -> Iterator[str]:
    if isinstance(function, ast.Name) and function.id in FORBIDDEN_CALLS:
        yield function.id
    if isinstance(function, ast.Attribute) and function.attr in FORBIDDEN_ATTRIBUTES:
        yield function.attr


@pytest.mark.parametrize("path", PURE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_pure_module_stays_pure(path: Path) -> None:
    assert list(impurities(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from os import environ",
        "import urllib.request",
        "from pathlib import Path",
        "async def f(): ...",
        "open('x')",
        "print('x')",
        "from datetime import datetime\ndatetime.now()",
    ],
)
def test_the_check_can_fail(source: str) -> None:
    assert list(impurities(source))


def test_packages_are_doorplates() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert len(body) == 1, f"{path} holds code"
        assert isinstance(body[0], ast.Expr), f"{path} has no docstring"


def test_the_top_level_folder_does_not_shadow_the_standard_library() -> None:
    assert not (OPERATOR / "__init__.py").exists()
