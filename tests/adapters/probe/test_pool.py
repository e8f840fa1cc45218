"""The processes that watch: what they may not do, and that their end is no verdict on a source."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.probe import faulty_worker
from adapters.probe.publishers import Publisher, publishers, until
from kvsync.adapters.probe import keeper
from kvsync.adapters.probe.pool import Pool
from kvsync.core.judge import Policy, judge
from kvsync.model.source import SourceKey, SourceReason
from kvsync.shell.probe_worker import command

GOOD = command(128 << 20)
FAULTY = (sys.executable, "-P", faulty_worker.__file__)


@asynccontextmanager
async def pool(words: Sequence[str] = GOOD, workers: int = 1) -> AsyncIterator[Pool]:
    made = Pool(words, workers)
    try:
        yield made
    finally:
        await made.close()


def watch(made: Pool, *sources: Publisher) -> None:
    made.set_targets({source.key: source.target() for source in sources})


def is_up(made: Pool, source: Publisher) -> bool:
    seen = made.observation(source.key)
    return seen is not None and seen.handshake_at is not None and seen.interrupted_at is None


def messages(made: Pool, source: Publisher) -> int:
    seen = made.observation(source.key)
    return seen.messages if seen else 0


def process_of(made: Pool) -> int:
    (worker,) = made.workers()
    assert worker.pid is not None
    return worker.pid


@pytest.fixture(autouse=True)
def python_finds_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


async def test_it_sees_what_is_sent() -> None:
    with publishers("a", "b") as (a, b):
        async with pool(workers=2) as made:
            watch(made, a, b)
            await until(lambda: is_up(made, a) and is_up(made, b))
            await until(lambda: messages(made, a) >= 3, a.send)
            assert messages(made, b) == 0
            watch(made, b)
            assert made.observation(a.key) is None


async def test_news_are_told_by_key() -> None:
    heard: set[SourceKey] = set()
    with publishers("a") as (a,):
        made = Pool(GOOD, 1, heard.add)
        try:
            watch(made, a)
            await until(lambda: a.key in heard)
        finally:
            await made.close()


async def test_it_holds_no_credentials_and_may_open_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/secret")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with publishers("a") as (a,):
        async with pool() as made:
            watch(made, a)
            await until(lambda: is_up(made, a))
            proc = Path(f"/proc/{process_of(made)}")
            environment = (proc / "environ").read_bytes()
            assert b"KUBE" not in environment
            status = (proc / "status").read_text()
            assert "NoNewPrivs:\t1" in status
            limits = (proc / "limits").read_text()
            assert f"Max data size             {128 << 20}" in limits


async def test_an_end_is_no_verdict_and_it_comes_back() -> None:
    with publishers("a") as (a,):
        async with pool() as made:
            watch(made, a)
            await until(lambda: messages(made, a) >= 1, a.send)
            first = process_of(made)
            os.kill(first, signal.SIGKILL)
            await until(lambda: not is_up(made, a))
            seen = made.observation(a.key)
            assert seen is not None
            assert seen.last_sequence is not None, "what was known stays"
            verdict = judge(a.target(), seen, seen.since, Policy())
            assert (verdict.reason, verdict.settled) == (SourceReason.PROBE_RESTARTED, False)
            await until(lambda: is_up(made, a))
            (worker,) = made.workers()
            assert worker.restarts == 1
            assert worker.pid != first


async def test_it_comes_back_once_there_are_file_descriptors_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true, refused = os.memfd_create, [OSError(errno.EMFILE, "Too many open files")] * 2

    def create(name: str) -> int:
        if refused:
            raise refused.pop()
        return true(name)

    monkeypatch.setattr(os, "memfd_create", create)
    with publishers("a") as (a,):
        async with pool() as made:
            watch(made, a)
            await until(lambda: is_up(made, a))
            assert [each.restarts for each in made.workers()] == [2]


async def test_it_ends_with_the_operator() -> None:
    code = (
        "import asyncio, sys\n"
        "from kvsync.adapters.probe.pool import Pool\n"
        "from kvsync.shell.probe_worker import command\n"
        "from adapters.probe.publishers import publishers\n"
        "async def main():\n"
        "    with publishers('a') as (a,):\n"
        "        made = Pool(command(128 << 20), 1)\n"
        "        made.set_targets({a.key: a.target()})\n"
        "        while made.observation(a.key) is None: await asyncio.sleep(0.05)\n"
        "        print(made.workers()[0].pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    operator = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert operator.stdout is not None
    worker = Path(f"/proc/{int(await operator.stdout.readline())}")
    operator.kill()
    await operator.wait()
    await until(lambda: not worker.exists() or "\nState:\tZ" in (worker / "status").read_text())


@pytest.mark.parametrize("order", [b"die", b"eat"])
async def test_a_source_that_ends_its_worker_is_left_alone_the_second_time(order: bytes) -> None:
    with publishers("good", "bad") as (good, bad):
        async with pool(FAULTY) as made:
            watch(made, good, bad)
            await until(lambda: is_up(made, good) and is_up(made, bad))

            def is_condemned() -> bool:
                seen = made.observation(bad.key)
                return seen is not None and seen.undecodable_streak == 2

            def send() -> None:
                bad.send(order)
                good.send()

            await until(is_condemned, send)
            (worker,) = made.workers()
            assert worker.restarts == 2
            before = messages(made, good)
            await until(lambda: is_up(made, good))
            await until(lambda: messages(made, good) > before, good.send)
            assert is_condemned()
            assert made.workers()[0].restarts == 2, "it goes on without it"


async def test_one_that_lies_is_ended_and_accuses_nobody() -> None:
    with publishers("a") as (a,):
        async with pool(FAULTY) as made:
            watch(made, a)
            await until(lambda: is_up(made, a))
            await until(lambda: made.workers()[0].restarts == 3, lambda: a.send(b"lie"))
            seen = made.observation(a.key)
            assert seen is not None
            assert seen.undecodable is None


async def test_one_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "SILENCE", 2.0)
    with publishers("a") as (a,):
        async with pool(FAULTY) as made:
            watch(made, a)
            await until(lambda: is_up(made, a))
            a.send(b"hang")
            await until(lambda: made.workers()[0].restarts == 1)
            await until(lambda: is_up(made, a))


async def test_a_program_that_cannot_be_started_is_tried_again() -> None:
    with publishers("a") as (a,):
        async with pool(("/nowhere/python",)) as made:
            watch(made, a)
            await until(lambda: made.workers()[0].restarts >= 2)
            seen = made.observation(a.key)
            assert seen is not None
            assert seen.interrupted_at is not None
