"""The operator of one run, in this process: as ``kvsync run`` puts it together, without its signals.

What is set otherwise than in a pod: sources are watched from this event loop and not from a process
of their own (faults of that one are `test_process_*`'s), loopback tokenizers may be asked, and
what is given up by a clock is given up earlier (`shortened`).
"""

import asyncio
import contextvars
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiohttp import ClientTimeout

from kvsync.adapters.engine_http.tokenizer import TokenizerHTTP
from kvsync.adapters.kube.access import Access
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.lease import LeaseDoor
from kvsync.adapters.metrics import Metrics
from kvsync.adapters.probe.subscriber import Subscriber
from kvsync.core.leadership import Terms
from kvsync.model.metering import Worker
from kvsync.model.source import SourceKey
from kvsync.shell.leadership import Leadership
from kvsync.shell.operator import Operator
from kvsync.shell.readers import READERS
from kvsync.shell.settings import Settings

RESYNC, QUIET, WATCH, LIST_AGAIN = 10.0, 15.0, 10, 10.0
"""Seconds, instead of 300, 150, 300 and 1800: what never came is found out by these clocks."""
ANSWER = 8.0
"""Seconds for an answer, instead of 30."""
log = logging.getLogger("chaos")

LEASE = 30.0
"""Seconds, instead of 10: dozens of operators share two cores, and none is to lose it by that."""
RESTART = 1.0
"""Seconds from the end of a life to the next."""

whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="")
"""The run on whose behalf a task or a log line is."""


class _HerePool(Subscriber):
    """A pool of no processes."""

    def __init__(
        self, _command: object, _workers: int, changed: Callable[[SourceKey], None]
    ) -> None:
        super().__init__(READERS, changed)

    def workers(self) -> list[Worker]:
        return []


@contextmanager
def shortened() -> Iterator[None]:
    """Everything that is otherwise than in a pod; for all operators of this process."""
    changed: dict[str, Any] = {
        "kvsync.shell.sources.Pool": _HerePool,
        "kvsync.shell.sources.TokenizerHTTP": functools.partial(TokenizerHTTP, loopback=True),
        "kvsync.shell.operator.RESYNC": RESYNC,
        "kvsync.adapters.kube.follow.QUIET": QUIET,
        "kvsync.adapters.kube.follow.SHORTEST_WATCH": WATCH,
        "kvsync.adapters.kube.follow.LIST_AGAIN": LIST_AGAIN,
        "kvsync.adapters.kube.transport.REQUEST_TIMEOUT": ClientTimeout(total=ANSWER),
    }
    with ExitStack() as stack:
        for name, value in changed.items():
            stack.enter_context(patch(name, value))
        yield


class Lines(logging.Handler):
    """What is logged, by the run on whose behalf."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.of: dict[str, list[str]] = {}
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.of.setdefault(whose.get(), []).append(self.format(record))


class Lives:
    """One operator after the other, as a Deployment has it: one that ends is started anew.

    All in a thread and an event loop of their own: kopf ends every task of its loop when it stops.
    """

    def __init__(self, name: str, settings: Settings, kubeconfig: Path) -> None:
        self.name = name
        self.count = 0
        self.watching = threading.Event()
        self.left: list[str] = []
        """Tasks that were there after an operator had ended."""
        self._settings = settings
        self._kubeconfig = kubeconfig
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name=f"operator {name}", daemon=True)

    def start(self) -> None:
        """Begin to live."""
        self._thread.start()

    def stop(self, within: float) -> bool:
        """SIGTERM, and wait for the end; whether it came within so many seconds."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(within)
        return not self._thread.is_alive()

    def _live(self) -> None:
        whose.set(self.name)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._one_after_the_other())

    async def _one_after_the_other(self) -> None:
        stopped = asyncio.create_task(self._stop.wait(), name="stopped")
        while not self._stop.is_set():
            self.count += 1
            before = asyncio.all_tasks()
            life = asyncio.create_task(self._one(), name="operator")
            await asyncio.wait([life])
            if not life.cancelled() and (error := life.exception()):
                log.error("an operator ended: %r", error, exc_info=error)
            self.left += [
                task.get_name() for task in asyncio.all_tasks() - before - {life} if not task.done()
            ]
            if not self._stop.is_set():
                await asyncio.wait([stopped], timeout=RESTART)
        stopped.cancel()

    async def _one(self) -> None:
        me = f"{self.name}_{self.count}"
        access = await Access.find(str(self._kubeconfig), None)
        metrics = Metrics()
        lease = Kube(access, on_answer=metrics.note_request, instance=me)
        door = LeaseDoor(lease, self._settings.operator_namespace, self._settings.lease)
        terms = Terms(self._settings.lease_duration)
        leadership = Leadership(door, me, terms, on_lost=_ending(asyncio.current_task()))
        kube = Kube(access, on_answer=metrics.note_request, may_write=leadership.holds, instance=me)
        stop = asyncio.Event()
        passing = asyncio.create_task(self._pass_on(stop), name="pass on the stop")
        try:
            operator = Operator(self._settings, access, kube, metrics, leadership)
            await operator.run(stop, self.watching.set)
        finally:
            passing.cancel()
            await kube.close()
            await lease.close()
            await asyncio.sleep(0)  # what was cancelled last is over then

    async def _pass_on(self, stop: asyncio.Event) -> None:
        """An operator sets its flag when it ends, so each has one of its own."""
        await self._stop.wait()
        stop.set()


def _ending(life: asyncio.Task[None] | None) -> Callable[[str], None]:
    """What ends an operator that has lost its Lease. In a pod the process ends there, untidily."""

    def end(why: str) -> None:
        log.warning("leadership lost, this operator ends: %s", why)
        if life is not None:
            life.cancel()

    return end
