"""Everything that watches sources and asks engines: made, run and ended together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from kvsync.adapters.engine_http.client import EngineHTTP
from kvsync.adapters.engine_http.tokenizer import TokenizerHTTP
from kvsync.adapters.probe.pool import Pool
from kvsync.adapters.relay_http import RelayHTTP
from kvsync.model.metering import Worker
from kvsync.model.source import SourceKey
from kvsync.shell.interviews import Interviews
from kvsync.shell.probe_worker import command
from kvsync.shell.probes import Probes
from kvsync.shell.relays import RelayDesk
from kvsync.shell.settings import Settings
from kvsync.shell.tokenizers import Tokenizers
from kvsync.shell.traffic import TrafficWatch

Key = tuple[str, str]


class Sources:
    """``on_news`` is called with the key of an object of whose sources or engines there is news."""

    def __init__(self, settings: Settings, on_news: Callable[[Key], None]) -> None:
        program = command(settings.probe_memory << 20, settings.log_format, settings.log_level)
        self._pool = Pool(program, settings.probe_workers, self._heard)
        self._engines = EngineHTTP()
        self._relays = RelayHTTP()
        desk = RelayDesk(self._relays, self._engines, time.monotonic, budget=settings.relay_budget)
        self._traffic = TrafficWatch(
            self._pool, self._engines, time.monotonic, relays=desk, changed=self._heard
        )
        self.probes = Probes(self._traffic, on_news, time.monotonic, traffic=self._traffic.traffic)
        self.interviews = Interviews(self._engines, on_news)
        self._tokenizer = TokenizerHTTP()
        self.tokenizers = Tokenizers(self._tokenizer, on_news, time.monotonic)

    def start(self) -> list[asyncio.Task[None]]:
        """Begin to watch; the tasks are to run as long as the operator does."""
        return [
            asyncio.create_task(self.probes.run(), name="probes"),
            asyncio.create_task(self._traffic.run(), name="traffic"),
        ]

    def workers(self) -> list[Worker]:
        """The processes that watch, for metrics."""
        return self._pool.workers()

    async def close(self) -> None:
        """Ask and watch no more; the tasks are over by then."""
        await self.interviews.close()
        await self.tokenizers.close()
        await self._tokenizer.close()
        await self._traffic.close()
        await self._pool.close()
        await self._engines.close()
        await self._relays.close()

    def _heard(self, source: SourceKey) -> None:
        self.probes.heard(source)
