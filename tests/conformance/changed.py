"""What an engine is started with after the operator's change of a Deployment."""

from dataclasses import dataclass
from typing import Any

from conformance.command_line import MODULE, Start, engine_start
from core.objects import planned
from kvsync.core.patch import apply
from kvsync.model.spec import Dialect, EventsSpec, KVEventSyncSpec
from kvsync.model.version import Version
from testbed.kubelet.expansion import expand_all

Json = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A command line after the change, and what it was told to bring about."""

    start: Start
    version: Version | None
    dialect: Dialect
    events: EventsSpec
    body: Json
    """The container, for a failure's message."""


def line_after(
    body: Json, spec: KVEventSyncSpec | None = None, running: str | None = None
) -> Line | None:
    """The engine's line once the plan for this Deployment is carried out; None if it is refused."""
    made = planned(body, spec, running=running)
    if made.refusal is not None:
        return None
    (part,) = made.parts
    containers = apply(body, made.patch)["spec"]["template"]["spec"]["containers"]
    container = next(c for c in containers if c["name"] == part.engine.container)
    variables = {e["name"]: e.get("value", "1") for e in container.get("env", ())}
    words = [*container.get("command", ()), *container.get("args", ())]
    by_variable = [name for name, value in variables.items() if "--kv-events" in value]
    if by_variable and not words:
        # As the entry point of such an image does it, by the words of the variable.
        words = ["sh", "-c", f"exec python3 -m {MODULE} ${by_variable[0]}"]
    start = engine_start(expand_all(words, variables), variables)
    return Line(start, part.engine.version, part.engine.dialect, part.events, container)
