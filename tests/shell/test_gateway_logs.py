"""Gateways' logs are read as often as there is something to learn, and only while somebody asks."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from kvsync.adapters.kube.pod_log import read_piece
from kvsync.model.errors import ApiError, Forbidden, NotFound, ServerError
from kvsync.model.gateway_log import GatewayReading, GatewayWatch, Start, Subscription, Unread
from kvsync.model.workload import Pod
from kvsync.shell.gateway_logs import AT_ONCE, PIECES, GatewayLogs, Pace

KEY, OTHER = ("default", "kv"), ("default", "other")
GATEWAY = ("aibrix-system", "gateway", "plugin")
WATCH = GatewayWatch(*GATEWAY, frozenset({"default/m-0"}))
PACE = Pace(soon=1.0, looks=3, open=10.0, settled=60.0)
BORN = 1_000

BEGUN = "Initializing KV event synchronization"
DONE = "KV event synchronization initialized successfully"
TAKEN = "Successfully requested replay from seq 0 for default/m-0 (response: 8 bytes)"


def pod(
    name: str = "g-0", *, restarts: int = 0, running: bool = True, deleting: bool = False
) -> Pod:
    started = datetime.fromtimestamp(BORN + restarts, UTC).isoformat()
    state = {"running": {"startedAt": started}} if running else {"waiting": {}}
    status = {"name": "plugin", "restartCount": restarts, "state": state}
    metadata = {"namespace": "aibrix-system", "name": name, "uid": f"uid-{name}"}
    if deleting:
        metadata["deletionTimestamp"] = started
    ready = [{"type": "Ready", "status": "True"}]
    return Pod(
        {
            "metadata": metadata,
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": ready,
                "containerStatuses": [status],
            },
        }
    )


class Stage:
    """A gateway's pods and their logs, a clock, and who was told of news."""

    def __init__(self, *pods: Pod) -> None:
        self.pods = pods or (pod(),)
        self.lines: dict[str, list[str]] = {}
        self.error: ApiError | None = None
        self.now = 0.0
        self.reads: list[str] = []
        self.at_once = self.most = 0
        self.told: list[tuple[str, str]] = []
        self.hold: asyncio.Event | None = None
        self.logs = GatewayLogs(
            self,
            lambda namespace, name: self.pods if (namespace, name) == GATEWAY[:2] else (),
            self.told.append,
            lambda: self.now,
            lambda: BORN + self.now,
            silence=60.0,
            pace=PACE,
        )

    def say(self, *texts: str, name: str = "g-0") -> None:
        """Write lines into the log of a pod's current run."""
        lines = self.lines.setdefault(name, [])
        for text in texts:
            at = datetime.fromtimestamp(BORN + len(lines), UTC).isoformat()
            lines.append(f"{at} I1126 10:00:00.000000       1 cache_init.go:5] {text}\n")

    async def pod_log_from(
        self, namespace: str, name: str, container: str, since: str, limit_bytes: int
    ) -> bytes:
        assert (namespace, container) == ("aibrix-system", "plugin")
        self.reads.append(name)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await (self.hold.wait() if self.hold else asyncio.sleep(0))
        self.at_once -= 1
        if self.error is not None:
            raise self.error
        start = datetime.fromisoformat(since) if since else datetime.min.replace(tzinfo=UTC)
        lines = [
            line
            for line in self.lines.get(name, ())
            if datetime.fromisoformat(line.split()[0]) >= start
        ]
        return "".join(lines).encode()[:limit_bytes]

    async def pass_(self, seconds: float, step: float = 0.5) -> list[float]:
        """Let time go by; the moments of the looks."""
        looks, end = [], self.now + seconds
        while self.now < end:
            before = len(self.reads)
            self.logs.tick()
            for _ in range(12):
                await asyncio.sleep(0)
            if len(self.reads) > before:
                looks.append(self.now)
            self.now += step
        return looks

    @property
    def reading(self) -> GatewayReading:
        """What is known of the first pod's log."""
        return self.logs.readings["uid-g-0", "plugin"]

    @property
    def knows(self) -> bool:
        return ("uid-g-0", "plugin") in self.logs.readings


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_nothing_is_read_that_nobody_asks_for(stage: Stage) -> None:
    assert await stage.pass_(5) == []
    stage.logs.want(KEY, WATCH)
    assert await stage.pass_(0.5)
    stage.logs.want(KEY, None)
    assert await stage.pass_(100) == []
    assert not stage.knows, "and what was read is forgotten"


async def test_looks_are_close_after_a_start_and_far_apart_once_all_is_taken(stage: Stage) -> None:
    stage.logs.want(KEY, WATCH)
    stage.say(BEGUN)
    assert await stage.pass_(30) == [0, 1, 2, 12, 22]
    stage.say(DONE)
    await stage.pass_(10)
    assert stage.reading.start is Start.INITIALIZED
    assert await stage.pass_(10), "a source is still missing"
    stage.say(TAKEN)
    await stage.pass_(10)
    assert stage.reading.pods == {"default/m-0": Subscription.TAKEN}
    start = stage.now
    (again,) = await stage.pass_(100)
    assert again - start > 40


async def test_an_object_is_told_of_what_changed_and_of_nothing_else(stage: Stage) -> None:
    stage.logs.want(KEY, WATCH)
    stage.logs.want(OTHER, GatewayWatch(*GATEWAY))
    stage.logs.want(("default", "elsewhere"), GatewayWatch("aibrix-system", "another", "plugin"))
    stage.say(BEGUN, DONE)
    await stage.pass_(30)
    assert sorted(stage.told) == [KEY, OTHER]
    stage.say("serving", "serving")
    await stage.pass_(30)
    assert len(stage.told) == 2
    stage.say(TAKEN)
    await stage.pass_(70)
    assert sorted(stage.told) == [KEY, KEY, OTHER, OTHER]


async def test_a_new_start_is_read_from_its_beginning(stage: Stage) -> None:
    stage.logs.want(KEY, WATCH)
    stage.say(BEGUN, DONE, TAKEN)
    await stage.pass_(5)
    stage.pods = (pod(running=False),)
    await stage.pass_(1)
    assert not stage.knows
    stage.pods, stage.lines = (pod(restarts=1),), {}
    stage.say(BEGUN)
    await stage.pass_(1)
    found = stage.reading
    assert (found.restarts, found.start, found.whole) == (1, Start.BEGUN, True)


async def test_pods_that_go_or_are_gone_are_forgotten(stage: Stage) -> None:
    stage.logs.want(KEY, WATCH)
    await stage.pass_(1)
    stage.pods = (pod(deleting=True),)
    await stage.pass_(1)
    assert not stage.logs.readings
    stage.pods = ()
    assert await stage.pass_(20) == []


@pytest.mark.parametrize(
    ("error", "unread"),
    [
        (Forbidden("no", status=403), Unread.FORBIDDEN),
        (ServerError("kubelet is away", status=500), Unread.UNREADABLE),
        (NotFound("no such container", status=404), Unread.UNREADABLE),
    ],
)
async def test_what_cannot_be_read_is_told_as_that_and_never_taken_for_silence(
    stage: Stage, error: ApiError, unread: Unread, caplog: pytest.LogCaptureFixture
) -> None:
    stage.error = error
    stage.logs.want(KEY, WATCH)
    await stage.pass_(100)
    found = stage.reading
    assert (found.unread, found.silent) == (unread, False)
    assert stage.told == [KEY]
    assert len(caplog.records) == 1, "said once"
    stage.error = None
    stage.say(BEGUN, DONE)
    await stage.pass_(15)
    assert (stage.reading.unread, stage.reading.start) == (None, Start.INITIALIZED)


async def test_one_lost_look_is_no_news_of_a_start_that_is_known(stage: Stage) -> None:
    stage.logs.want(KEY, WATCH)
    stage.say(BEGUN, DONE, TAKEN)
    await stage.pass_(1)
    known = stage.reading
    stage.error = ServerError("kubelet is away", status=500)
    assert await stage.pass_(100)
    assert stage.reading == known
    assert stage.told == [KEY]
    stage.error = Forbidden("taken away", status=403)
    await stage.pass_(100)
    assert stage.reading.unread is Unread.FORBIDDEN


async def test_silence_is_told_when_its_time_is_over(stage: Stage) -> None:
    stage.logs.want(KEY, WATCH)
    stage.say("starting gateway server on port :50052")
    await stage.pass_(59)
    assert not stage.reading.silent
    await stage.pass_(12)
    assert stage.reading.silent
    assert len(stage.told) == 2


async def test_a_long_log_is_read_over_several_looks_and_is_not_silent_before_its_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvsync.shell.gateway_logs.read_piece", small_pieces(limit=300))
    stage.logs.want(KEY, WATCH)
    stage.say(*["request"] * 40, DONE)
    stage.now = 70.0
    await stage.pass_(0.5)
    assert len(stage.reads) == PIECES
    assert (stage.reading.start, stage.reading.silent) == (Start.UNSAID, False)
    assert not stage.reading.caught_up
    assert len(await stage.pass_(8)) > 3
    assert stage.reading.start is Start.INITIALIZED
    assert stage.reading.caught_up


def small_pieces(limit: int) -> Callable[..., object]:

    def read(*place: object, last: int) -> object:
        return read_piece(*place, last=last, limit=limit)  # type: ignore[arg-type]

    return read


async def test_only_so_many_logs_are_read_at_once() -> None:
    stage = Stage(*[pod(f"g-{number}") for number in range(6)])
    stage.hold = asyncio.Event()
    stage.logs.want(KEY, WATCH)
    await stage.pass_(1)
    assert stage.most == AT_ONCE
    stage.hold.set()
    await stage.pass_(1)
    assert set(stage.reads) == {f"g-{number}" for number in range(6)}
    assert stage.most == AT_ONCE


async def test_it_ends_while_a_log_is_being_read() -> None:
    stage = Stage()
    stage.hold = asyncio.Event()
    stage.logs.want(KEY, WATCH)
    running = asyncio.create_task(stage.logs.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert stage.reads
    running.cancel()
    await asyncio.wait_for(stage.logs.close(), 1)
    assert not stage.logs.readings
