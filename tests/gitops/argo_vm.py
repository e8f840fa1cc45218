"""Argo CD's way with a Lua script, in Lua 5.1: what a script may use, and what is made of its answer.

Source: Argo CD 3.5 ``util/lua/lua.go`` and ``oslib_safe.go``. A script from a ConfigMap has the base, package
and table libraries only, ``time`` and ``date`` of ``os`` by ``require("os")``; strings have no methods.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lupa.lua51 import LuaRuntime, lua_type

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
CUSTOMIZATIONS = ROOT / "templates" / "gitops" / "argocd" / "resource_customizations"
OURS = CUSTOMIZATIONS / "kvsync.aibrix.ai" / "KVEventSync"

STATES = ("Healthy", "Progressing", "Suspended", "Degraded", "Missing", "Unknown")

_TAKEN_AWAY = ("string", "math", "io", "os", "debug", "coroutine", "python")
_SANDBOX = """
getmetatable("").__index = nil
local time, date = os.time, os.date
package.loaded.os, package.preload.os = nil, function() return {time = time, date = date} end
package.loaders = {package.loaders[1]}
"""


class LuaError(ValueError):
    """A script did not give what Argo CD asks of it."""


def health(body: Mapping[str, Any], script: str) -> tuple[str, str]:
    """Status and message of an object. Raises LuaError, lupa's own for a script that fails."""
    answer = _run(body, script)
    if not isinstance(answer, dict) or answer.get("status") not in STATES:
        raise LuaError(f"no health: {answer!r}")
    message = answer.get("message", "")
    if not isinstance(message, str):
        raise LuaError(f"a message is a string, not {message!r}")
    return answer["status"], message


def actions(body: Mapping[str, Any], script: str) -> list[Json]:
    """The actions that are offered for an object, by name."""
    answer = _run(body, script)
    if not isinstance(answer, dict):
        raise LuaError(f"no actions: {answer!r}")
    return [{"name": name, "disabled": False, **(answer[name] or {})} for name in sorted(answer)]


def acted(body: Mapping[str, Any], script: str, *, old: bool = False) -> Json:
    """The object after an action; ``old``: as older releases (2.14, say) read the answer."""
    answer = _run(body, script)
    if not isinstance(answer, dict):
        raise LuaError(f"no object: {answer!r}")
    cleaned: Json = _cleaned(answer, body, old=old)
    return cleaned


def _run(body: Mapping[str, Any], script: str) -> Any:
    lua = LuaRuntime(register_eval=False, register_builtins=False, unpack_returned_tuples=True)
    lua.execute(_SANDBOX)
    for name in _TAKEN_AWAY:
        lua.globals()[name] = None
    lua.globals()["obj"] = _table(lua, body)
    return _plain(lua.execute(script))


def _table(lua: LuaRuntime, value: Any) -> Any:
    if isinstance(value, Mapping):
        return lua.table_from({key: _table(lua, each) for key, each in value.items()})
    if isinstance(value, (list, tuple)):
        return lua.table_from([_table(lua, each) for each in value])
    return value


def _plain(value: Any) -> Any:
    """As gopher-json writes it: an empty table is a list, for Lua cannot tell."""
    if lua_type(value) != "table":
        return value
    keys = list(value)
    if all(isinstance(key, int) for key in keys):
        return [_plain(value[key]) for key in sorted(keys)]
    return {key: _plain(value[key]) for key in keys}


def _cleaned(new: Any, before: Any, *, old: bool) -> Any:
    """Empty lists that were maps become maps (``cleanReturnedObj``): empty, or in old releases as before."""
    if isinstance(new, dict) and isinstance(before, Mapping):
        return {
            key: _cleaned(each, before[key], old=old) if key in before else each
            for key, each in new.items()
        }
    if isinstance(new, list) and isinstance(before, Mapping) and not new:
        return json.loads(json.dumps(before)) if old else {}
    if isinstance(new, list) and isinstance(before, list):
        cleaned = [_cleaned(a, b, old=old) for a, b in zip(new, before, strict=False)]
        return cleaned + new[len(before) :]
    return new
