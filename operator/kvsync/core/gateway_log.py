"""A gateway's log, line by line, to what it says of KV events.

The words are those of AIBrix v0.4.1 to main of 2026-08: ``pkg/cache/cache_init.go`` (the start),
``pkg/kvevent/manager.go`` and ``pkg/cache/kvcache/zmq_client.go`` (the pods),
``pkg/plugins/gateway/algorithms/prefix_cache.go`` (the warning). A log is text that others have a part
in: it is bounded here, and nothing is done by it but told in a status.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from kvsync.core.moment import seconds
from kvsync.model.gateway_log import GatewayReading, Start, Subscription
from kvsync.model.workload import Pod

MAX_PODS = 5000
"""Pods that are remembered of one log; of more, nothing is known."""

MAX_WORDS = 300
"""Characters of a line that are quoted."""

CALM = 60.0
"""Seconds without an error after which a pod that failed counts as taken again: one that is answered
and fails in turn, every second or so, is not."""

HEAD = 60.0
"""Seconds from a container's start within which its log begins, unless its beginning was rotated
away: a gateway writes from its first second on."""

_KLOG = re.compile(r"[IWEF][0-9]{4} [0-9:.]{8,18} +[0-9]{1,10} [^\s:\]]{1,128}:[0-9]{1,7}\] ")
_POD = r"([a-z0-9.-]{1,253}/[a-z0-9.-]{1,253})"

_BEGUN = "Initializing KV event synchronization"
_INITIALIZED = "KV event synchronization initialized successfully"
_FAILED = (
    "Failed to initialize KV event sync: ",
    "KV event sync is disabled",
    "KV event sync requires remote tokenizer",
    "KV sync requires remote tokenizer",
)


@dataclass(frozen=True, slots=True)
class _Heard:
    last: Subscription
    failed_at: float | None = None
    """When its last error was written, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class GatewayLog:
    """What was read so far of the log of one start of a gateway's container."""

    started_at: float
    """In seconds since the epoch, by the clock of its node."""
    start: Start = Start.UNSAID
    words: str = ""
    whole: bool = True
    begun: bool = False
    """Whether any line was read."""
    klog: bool = False
    """Whether any of them has the form in which AIBrix writes: the silence of others says nothing."""
    pods: Mapping[str, _Heard] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a container: how often it was started before, and when it was this time."""

    restarts: int
    started_at: float


def run_of(pod: Pod, container: str) -> Run | None:
    """The start that a pod's container runs since; None where it does not run."""
    for status in pod.container_statuses:
        if status.get("name") != container:
            continue
        running = (status.get("state") or {}).get("running") or {}
        at = seconds(str(running.get("startedAt") or ""))
        return None if at is None else Run(int(status.get("restartCount") or 0), at)
    return None


def read_log(log: GatewayLog, lines: Iterable[tuple[float, str]], *, lost: bool) -> GatewayLog:
    """The log with further lines, each with its time in seconds since the epoch.

    ``lost``: lines between those that were read and these could not be.
    """
    reader = _Reader(log)
    if lost:
        reader.whole = False
    for at, line in lines:
        reader.take(at, line)
    return reader.log()


def reading_of(
    log: GatewayLog, restarts: int, now: float, *, complete: bool, silence: float
) -> GatewayReading:
    """What a log says by now. ``complete``: it was read to its end, and its pod is Ready; it may say
    nothing for ``silence`` seconds after its start."""
    unsaid = log.start is Start.UNSAID and log.whole and log.klog
    return GatewayReading(
        restarts=restarts,
        start=log.start,
        words=log.words,
        silent=unsaid and complete and now - log.started_at >= silence,
        whole=log.whole,
        pods={name: _by_now(heard, now) for name, heard in log.pods.items()},
    )


def _by_now(heard: _Heard, now: float) -> Subscription:
    recent = heard.failed_at is not None and now - heard.failed_at < CALM
    return Subscription.FAILING if recent else heard.last


class _Reader:
    def __init__(self, log: GatewayLog) -> None:
        self._before = log
        self.start, self.words, self.whole = log.start, log.words, log.whole
        self.begun, self.klog = log.begun, log.klog
        self.pods = dict(log.pods)

    def log(self) -> GatewayLog:
        return replace(
            self._before,
            start=self.start,
            words=self.words,
            whole=self.whole,
            begun=self.begun,
            klog=self.klog,
            pods=self.pods,
        )

    def take(self, at: float, line: str) -> None:
        if not self.begun:
            self.begun = True
            self.whole = self.whole and at - self._before.started_at <= HEAD
        head = _KLOG.match(line)
        if head is None:
            return
        self.klog = True
        text = line[head.end() :]
        if text.startswith(_OF_PODS):
            self._of_a_pod(at, text)
        elif text.startswith(_FAILED):
            # The warning comes from the router, which knows nothing of a start that went well.
            if self.start is not Start.INITIALIZED or text.startswith(_FAILED[0]):
                self.start, self.words = Start.FAILED, _quote(text)
        elif text.startswith(_BEGUN):
            self.start, self.words = Start.BEGUN, ""
            self.pods.clear()
        elif text.startswith(_INITIALIZED):
            self.start, self.words = Start.INITIALIZED, ""

    def _of_a_pod(self, at: float, text: str) -> None:
        for pattern, note in _PATTERNS:
            found = pattern.match(text)
            if found is not None:
                note(self, found[1], at)
                return

    def _set(self, pod: str, heard: _Heard) -> None:
        if pod in self.pods or len(self.pods) < MAX_PODS:
            self.pods[pod] = heard
        else:
            self.whole = False

    def connected(self, pod: str, _: float) -> None:
        # Said after every error as well, and then no news.
        if pod not in self.pods:
            self._set(pod, _Heard(Subscription.CONNECTED))

    def subscribed(self, pod: str, at: float) -> None:
        # Only a sync that runs subscribes. Where its start was not seen, that line is lost, and one
        # that says that it failed would come after this.
        if self.start is Start.UNSAID:
            self.start = Start.INITIALIZED
        self.connected(pod, at)

    def taken(self, pod: str, _: float) -> None:
        before = self.pods.get(pod)
        self._set(pod, _Heard(Subscription.TAKEN, before.failed_at if before else None))

    def unanswered(self, pod: str, _: float) -> None:
        self._set(pod, _Heard(Subscription.UNANSWERED))

    def failing(self, pod: str, at: float) -> None:
        self._set(pod, _Heard(Subscription.FAILING, at))

    def gone(self, pod: str, _: float) -> None:
        self.pods.pop(pod, None)


_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[_Reader, str, float], None]], ...] = tuple(
    (re.compile(pattern.replace("POD", _POD)), note)
    for pattern, note in (
        (r"Event consumption error for POD: ", _Reader.failing),
        (r"Attempting to reconnect to POD after ", _Reader.failing),
        (r"Reconnection failed for POD: ", _Reader.failing),
        (r"Failed to subscribe to pod POD: ", _Reader.failing),
        (r"Successfully connected to vLLM pod POD at ", _Reader.connected),
        (r"Successfully requested replay from seq -?[0-9]{1,20} for POD(?: |$)", _Reader.taken),
        (r"Replayed [0-9]{1,20} event batches from seq -?[0-9]{1,20} for POD$", _Reader.taken),
        (r"Failed to request initial replay for POD: ", _Reader.unanswered),
        (r"Failed to request replay after reconnect for POD: ", _Reader.unanswered),
        (r"Subscribed to KV events for pod POD \(", _Reader.subscribed),
        (r"Unsubscribed from KV events for pod POD$", _Reader.gone),
    )
)
"""Main of 2026-08 says "Replayed …" where releases up to v0.7 say "Successfully requested …"."""

_OF_PODS = (
    "Event consumption error for ",
    "Attempting to reconnect to ",
    "Reconnection failed for ",
    "Failed to subscribe to pod ",
    "Successfully connected to vLLM pod ",
    "Successfully requested replay ",
    "Replayed ",
    "Failed to request ",
    "Subscribed to KV events ",
    "Unsubscribed from KV events ",
)
"""How such lines begin: most lines of a log do not, and are passed over without a search."""


def _quote(text: str) -> str:
    cut = text if len(text) <= MAX_WORDS else f"{text[: MAX_WORDS - 1]}…"
    return "".join(c if c.isprintable() else "?" for c in cut).rstrip()
