"""The log of a crashed engine is read once, two at a time, and there is always an answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kvsync.model.decision import CrashedContainer
from kvsync.model.errors import ApiError, Forbidden, NotFound
from kvsync.model.observed import LastWords
from kvsync.shell import last_words
from kvsync.shell.last_words import AT_ONCE, LINES, LastWordsDesk

KEY = ("default", "kv")


class Logs:
    """Logs by pod; counts who reads at once."""

    def __init__(self, answer: Callable[[str], Awaitable[str]]) -> None:
        self._answer = answer
        self.reads: list[str] = []
        self.running = self.most = 0

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, tail_lines: int, previous: bool
    ) -> str:
        assert (tail_lines, previous) == (LINES, True)
        self.reads.append(f"{namespace}/{pod}/{container}")
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self._answer(pod)
        finally:
            self.running -= 1


class Desk:
    """A desk, and who was told of answers."""

    def __init__(self, answer: Callable[[str], Awaitable[str]]) -> None:
        self.logs = Logs(answer)
        self.told: list[tuple[str, str]] = []
        self.desk = LastWordsDesk(self.logs, self.told.append)

    async def ask(self, *pods: str) -> None:
        self.desk.ask(KEY, [CrashedContainer("default", p, f"uid-{p}", "vllm") for p in pods])
        for _ in range(50):
            await asyncio.sleep(0)


async def said(_: str) -> str:
    await asyncio.sleep(0)
    return "usage: x\nvllm serve: error: unrecognized arguments: --x\n"


async def test_the_line_that_tells_is_kept_and_the_asking_object_told() -> None:
    desk = Desk(said)
    await desk.ask("a")
    await desk.ask("a")
    line = "vllm serve: error: unrecognized arguments: --x"
    assert desk.desk.answers == {"uid-a": LastWords(line)}
    assert (desk.told, desk.logs.reads) == ([KEY], ["default/a/vllm"]), "once"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (Forbidden('pods "a" is forbidden'), LastWords(refused='pods "a" is forbidden')),
        (NotFound("gone"), LastWords()),
        (ApiError("previous terminated container not found"), LastWords()),
    ],
)
async def test_what_cannot_be_read_is_answered_too(error: ApiError, answer: LastWords) -> None:
    async def refuse(_: str) -> str:
        raise error

    desk = Desk(refuse)
    await desk.ask("a")
    assert desk.desk.answers == {"uid-a": answer}
    assert desk.told == [KEY]


async def test_a_kubelet_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(last_words, "PATIENCE", 0.0)

    async def hang(_: str) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    desk = Desk(hang)
    await desk.ask("a")
    assert desk.desk.answers == {"uid-a": LastWords()}


async def test_a_few_at_a_time() -> None:
    desk = Desk(said)
    await desk.ask(*"abcdef")
    assert len(desk.desk.answers) == 6
    assert desk.logs.most == AT_ONCE


async def test_a_pod_that_is_gone_is_forgotten_with_its_question() -> None:
    never = asyncio.Event()

    async def hang(_: str) -> str:
        await never.wait()
        return ""

    desk = Desk(hang)
    await desk.ask("a")
    desk.desk.forget("uid-a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (desk.desk.answers, desk.told, desk.logs.running) == ({}, [], 0)
    await desk.desk.close()
