"""The engine core with SGLang's cache, layout and habits: what it says at once, and what later."""

from testbed.engine.core import EngineCore, MakePublisher
from testbed.engine.settings import Settings
from testbed.engine.sglang.cache import RadixCache
from testbed.engine.sglang.settings import SglangSettings

WARM_UP = "The capital city of France is"
_WARM_UP_TOKENS = 8


class SglangCore(EngineCore):
    """All ranks. A new tree is told of as cleared, before anything else (``RadixCache.reset``)."""

    def __init__(self, settings: SglangSettings, open_publisher: MakePublisher) -> None:
        def new_cache(base: Settings) -> RadixCache:
            return RadixCache(
                base.blocks, base.block_size, settings.behaviour, reuse=base.prefix_caching
            )

        super().__init__(
            settings.base,
            open_publisher,
            layout=settings.behaviour.layout,
            make_cache=new_cache,
        )
        self.flush()

    def flush(self) -> None:
        """Clear every rank's cache; an idle scheduler tells of it at once."""
        self.reset_prefix_cache()
        for place in self.ranks:
            self._step(place, [])

    def warm_up(self, prompt: list[int]) -> None:
        """The request that SGLang sends itself on every rank before it is ready."""
        for place in self.ranks:
            self.complete(prompt, _WARM_UP_TOKENS, rank=place.number)

    def check_health(self) -> None:
        """What ``/health`` runs: one token of a prompt of one, counted nowhere."""
        for events in self.ranks[0].cache.run([0], [0]).steps:
            self._step(self.ranks[0], events)
