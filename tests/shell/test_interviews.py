"""Engines are asked a few at a time, again while they do not answer, and not after their pod went."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from kvsync.model.decision import Question
from kvsync.model.observed import EngineAnswers
from kvsync.shell import interviews as module
from kvsync.shell.interviews import AT_ONCE, QUICK_TRIES, Interviews

KEY = ("default", "kv")
KNOWN = EngineAnswers("0.16.0", 16)


class Engines:
    """Answers when it is let; hosts in ``deaf`` give no answer."""

    def __init__(self, *deaf: str) -> None:
        self.deaf = set(deaf)
        self.asked: Counter[str] = Counter()
        self.at_once = self.most = 0
        self.open = asyncio.Event()

    async def ask(self, host: str, port: int) -> EngineAnswers:
        self.asked[host] += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.open.wait()
        finally:
            self.at_once -= 1
        return EngineAnswers() if host in self.deaf else KNOWN


def questions(count: int) -> list[Question]:
    return [Question(f"uid-{n}", f"host-{n}", 8000) for n in range(count)]


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_all_are_asked_once_a_few_at_a_time() -> None:
    engines, told = Engines(), list[tuple[str, str]]()
    desk = Interviews(engines, told.append)
    for _ in range(2):
        desk.ask(KEY, questions(3 * AT_ONCE))
    await settled()
    assert (engines.at_once, len(asyncio.all_tasks())) == (AT_ONCE, AT_ONCE + 1)
    engines.open.set()
    await settled()
    assert (engines.most, set(engines.asked.values())) == (AT_ONCE, {1})
    assert desk.answers == {each.uid: KNOWN for each in questions(3 * AT_ONCE)}
    assert told == [KEY] * 3 * AT_ONCE
    assert len(asyncio.all_tasks()) == 1, "nobody waits for questions"
    desk.ask(KEY, questions(AT_ONCE))
    await settled()
    assert set(engines.asked.values()) == {1}, "who answered is not asked again"


async def test_who_does_not_answer_is_asked_again_and_counts_as_asked_after_a_few_tries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)
    engines, tries = Engines("host-0"), list[int]()
    engines.open.set()
    desk = Interviews(engines, lambda _: tries.append(engines.asked["host-0"]))
    desk.ask(KEY, questions(1))
    for _ in range(20):
        await settled()
    assert tries == [QUICK_TRIES]
    assert desk.answers == {"uid-0": EngineAnswers()}
    assert engines.asked["host-0"] > QUICK_TRIES, "it may still come up"
    await desk.close()


async def test_a_pod_that_went_is_not_heard_any_more() -> None:
    engines, told = Engines(), list[tuple[str, str]]()
    desk = Interviews(engines, told.append)
    desk.ask(KEY, questions(AT_ONCE + 1))
    await settled()
    for uid in ("uid-0", f"uid-{AT_ONCE}"):
        desk.forget(uid)
    engines.open.set()
    await settled()
    assert desk.answers.keys() == {f"uid-{n}" for n in range(1, AT_ONCE)}
    assert engines.asked[f"host-{AT_ONCE}"] == 0, "it went before its turn"
    desk.ask(KEY, questions(1))
    await settled()
    assert desk.answers["uid-0"] == KNOWN, "one of that uid is asked anew"


async def test_closing_leaves_nothing_behind() -> None:
    engines = Engines("host-0")
    desk = Interviews(engines, lambda _: None)
    desk.ask(KEY, questions(2 * AT_ONCE))
    await settled()
    await desk.close()
    assert (engines.at_once, len(asyncio.all_tasks())) == (0, 1)
