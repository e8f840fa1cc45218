"""Watching sources from this process's event loop."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from kvsync.adapters.probe.desk import Desk
from kvsync.adapters.probe.reading import Readers
from kvsync.adapters.probe.sample import EACH_SOURCE, Budget
from kvsync.adapters.probe.source import Source
from kvsync.model.source import Observation, SourceKey, Target

log = logging.getLogger(__name__)

DESCRIPTORS_A_SOURCE = 2
OTHER_DESCRIPTORS = 64
STARTS_A_SECOND = 500
"""How many connections are begun a second where many sources come at once."""


class Subscriber:
    """Watches sources; :meth:`observation` tells what was seen so far.

    ``changed`` is called with a source's key whenever there is news of it, ``reading`` with its rank
    when bytes of it are about to be read and with 0 when they were; both must be quick.
    """

    def __init__(
        self,
        readers: Readers,
        changed: Callable[[SourceKey], None] = lambda key: None,
        reading: Callable[[int], None] = lambda number: None,
        budgets: Sequence[Budget] = EACH_SOURCE,
    ) -> None:
        self._changed = changed
        self._desk = Desk(readers, self._own_limit, reading, budgets)
        self._sources: dict[SourceKey, Source] = {}
        self._warned: set[str] = set()

    def set_targets(self, targets: Mapping[SourceKey, Target]) -> None:
        """Watch exactly these: drops the others, starts new ones, begins anew where one changed."""
        for key in [k for k, s in self._sources.items() if targets.get(k) != s.target]:
            self.drop(key)
        new = {key: target for key, target in targets.items() if key not in self._sources}
        for key, target in new.items():
            self.add(key, target, within=len(new) / STARTS_A_SECOND)

    def add(self, key: SourceKey, target: Target, *, within: float = 0.0) -> None:
        """Watch one more, from some time within so many seconds on."""
        self.drop(key)
        self._sources[key] = Source(target, self._desk, partial(self._changed, key))
        self._check_descriptors()
        self._sources[key].start(within)

    def drop(self, key: SourceKey) -> None:
        """Watch one no more."""
        source = self._sources.pop(key, None)
        if source is not None:
            source.close()

    def observation(self, key: SourceKey) -> Observation | None:
        """What was seen of a source; None for one that is not watched."""
        source = self._sources.get(key)
        return source.seen if source is not None else None

    async def close(self) -> None:
        """Stop watching and close every connection."""
        for key in list(self._sources):
            self.drop(key)

    def _check_descriptors(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = len(self._sources) * DESCRIPTORS_A_SOURCE + OTHER_DESCRIPTORS
        if soft != resource.RLIM_INFINITY and needed > soft:
            self._warn(
                "descriptors",
                f"{len(self._sources)} sources need about {needed} open files and the limit is "
                f"{soft}: raise it (ulimit -n), or not all of them are watched",
            )

    def _own_limit(self, what: str) -> None:
        self._warn(
            what,
            f"cannot connect to sources: {what}. This is a limit of the operator's own machine or "
            "container, not of the engines: raise it (open files: ulimit -n; CPU: the limit of the pod)",
        )

    def _warn(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            log.warning(text)
