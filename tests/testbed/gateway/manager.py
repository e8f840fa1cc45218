"""Which pods are subscribed to: the scan at start, and pod news one after the other.

After AIBrix `pkg/kvevent/manager.go`. Every call that subscribes waits for the engine's replay
answer, and the caller waits with it: that is how silent engines stall the gateway.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from testbed.gateway.events import BlockRemoved, BlockStored, Event
from testbed.gateway.klog import Klog
from testbed.gateway.metrics import GatewayMetrics
from testbed.gateway.pods import Pod, subscribable
from testbed.gateway.prefix_index import Context, PrefixIndex
from testbed.gateway.releases import Release
from testbed.gateway.subscription import Subscription
from testbed.gateway.timings import Timings


class InitialisationTimeoutError(Exception):
    """The scan at start ran past its limit; no pod is subscribed to until the next start."""


class Manager:
    """The KV event subscriptions of one gateway process."""

    def __init__(
        self,
        release: Release,
        index: PrefixIndex,
        log: Klog,
        metrics: GatewayMetrics,
        timings: Timings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self._release = release
        self._index = index
        self._log = log
        self._metrics = metrics
        self._timings = timings
        self._clock = clock

    async def start(self, pods: Iterable[Pod]) -> None:
        """Subscribes to the pods that exist, one after the other.

        Raises:
            InitialisationTimeoutError: the limit passed before all pods were looked at.
        """
        if self._release.zmq_metrics:
            self._metrics.open_zmq()
        deadline = self._clock() + self._timings.initialise
        for pod in pods:
            if self._clock() >= deadline:
                raise InitialisationTimeoutError(
                    "failed to start KV event sync: failed to process existing pods: "
                    "context deadline exceeded"
                )
            if subscribable(pod):
                await self._subscribe(pod)
        self._log.info("manager.go:137", "KV event manager started successfully")

    async def changed(self, old: Pod | None, new: Pod) -> None:
        """Takes a new or changed pod; only another IP or another eligibility matters."""
        was = old is not None and subscribable(old)
        now = subscribable(new)
        if old is not None and old.ip == new.ip and was == now:
            return
        if was:
            await self._unsubscribe(new.key)
        if now:
            await self._subscribe(new)

    async def deleted(self, pod: Pod) -> None:
        """Takes a pod's end: unsubscribes and forgets what it held."""
        await self._unsubscribe(pod.key)
        self._index.remove_pod(pod.context, pod.key)

    async def stop(self) -> None:
        """Ends all subscriptions; the gateway does not say "Unsubscribed" here."""
        self._log.info("manager.go:150", "Stopping KV event manager")
        for subscription in self.subscriptions.values():
            await subscription.stop()
        self.subscriptions.clear()
        self._log.info("manager.go:164", "KV event manager stopped")

    async def _subscribe(self, pod: Pod) -> None:
        if pod.key in self.subscriptions:
            return
        subscription = Subscription(
            pod.key,
            pod.ip,
            self._release,
            self._taker(pod.context, pod.key),
            self._log,
            self._timings,
            self._metrics.zmq,
        )
        try:
            await subscription.start()
        except BaseException:
            subscription.close()
            raise
        self.subscriptions[pod.key] = subscription
        self._log.info(
            "manager.go:311",
            f"Subscribed to KV events for pod {pod.key} (model: {pod.model}, IP: {pod.ip})",
        )

    async def _unsubscribe(self, key: str) -> None:
        subscription = self.subscriptions.pop(key, None)
        if subscription is None:
            return
        await subscription.stop()
        self._log.info("manager.go:324", f"Unsubscribed from KV events for pod {key}")

    def _taker(self, context: Context, pod: str) -> Callable[[Event], None]:
        """The model name is the one at subscription: a later label changes nothing."""

        def take(event: Event) -> None:
            if isinstance(event, BlockStored):
                self._store(context, pod, event)
            elif isinstance(event, BlockRemoved):
                self._index.remove(context, event.hashes)
            elif self._release.purges_on_clear:
                self._index.remove_pod(context, pod)

        return take

    def _store(self, context: Context, pod: str, event: BlockStored) -> None:
        try:
            self._index.store(context, pod, event.hashes, event.parent, event.blocks, self._clock())
        except ValueError as problem:
            self._log.error(
                "handler.go:97", f"Failed to process BlockStored event for pod {pod}: {problem}"
            )
            raise
