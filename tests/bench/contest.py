"""A contestant from outside: started, asked, and its processes measured."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kvsync.model.source import Target
from testbed.partner import Partner
from testbed.watching import cpu_seconds, resident


@dataclass(frozen=True, slots=True)
class Use:
    """What a contestant's processes have used: bytes in memory, seconds of CPU, messages heard."""

    resident: tuple[int, ...]
    cpu: tuple[float, ...]
    messages: int


class Contestant:
    """One process, or two; a context manager that ends them. ``name`` is its module's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._partner = Partner(f"bench.contestants.{name}")
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """End it, and what it started."""
        self._partner.end()

    def listen(self, targets: Iterable[Target]) -> None:
        """Have it listen to these."""
        self._partner.say(json.dumps([[t.host, t.port, t.replay_port] for t in targets]))

    def ask(self) -> dict[str, Any]:
        """What it heard so far."""
        self._partner.say("?")
        return self._answer()

    def use(self) -> Use:
        """What it used so far."""
        said = self.ask()
        pids = [self._partner.pid, *filter(None, [said.get("worker")])]
        return Use(
            tuple(resident(pid) for pid in pids),
            tuple(cpu_seconds(pid) for pid in pids),
            said["messages"],
        )

    def _answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._partner.hear())
        return answer
