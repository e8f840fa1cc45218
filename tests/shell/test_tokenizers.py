"""Tokenizers are asked when somebody wants to know, not often, and forgotten with the last who did."""

import asyncio

from kvsync.model.tokenizer import TokenizerAnswer, TokenizerQuestion
from kvsync.shell.tokenizers import AT_ONCE, PERIOD, VALID, Key, Tokenizers

A, B = ("default", "a"), ("default", "b")
URL = "http://tokens:1/tokenize"
QUESTION = TokenizerQuestion(URL, "m")


class Stage:
    """A tokenizer that answers as told, a clock to set, and who was called."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answer = TokenizerAnswer(404)
        self.asked: list[str] = []
        self.running = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.told: list[Key] = []
        self.tokenizers = Tokenizers(self, self.told.append, lambda: self.now)

    async def tokenize(self, question: TokenizerQuestion) -> TokenizerAnswer:
        self.asked.append(question.url)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return self.answer

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


async def test_one_answer_serves_all_who_want_to_know() -> None:
    stage = Stage()
    stage.tokenizers.ask(A, QUESTION)
    stage.tokenizers.ask(B, QUESTION)
    stage.tokenizers.ask(A, QUESTION)
    await stage.settle()
    assert stage.asked == [URL]
    assert sorted(stage.told) == [A, B]
    assert stage.tokenizers.answers() == {URL: TokenizerAnswer(404)}


async def test_it_is_asked_again_after_a_while_and_the_last_answer_stands_until_then() -> None:
    stage = Stage()
    stage.tokenizers.ask(A, QUESTION)
    await stage.settle()
    stage.now = PERIOD - 1
    stage.tokenizers.ask(A, QUESTION)
    await stage.settle()
    assert len(stage.asked) == 1
    stage.now, stage.answer = PERIOD, TokenizerAnswer(200)
    stage.gate.clear()
    stage.tokenizers.ask(A, QUESTION)
    await stage.settle()
    assert stage.tokenizers.answers() == {URL: TokenizerAnswer(404)}
    stage.gate.set()
    await stage.settle()
    assert stage.tokenizers.answers() == {URL: TokenizerAnswer(200)}
    assert stage.told == [A, A]
    stage.now = PERIOD + VALID + 1
    assert stage.tokenizers.answers() == {}


async def test_what_nobody_wants_to_know_any_more_is_forgotten() -> None:
    stage = Stage()
    stage.tokenizers.ask(A, QUESTION)
    stage.tokenizers.ask(B, QUESTION)
    await stage.settle()
    stage.tokenizers.ask(A, None)
    assert URL in stage.tokenizers.answers()
    stage.tokenizers.ask(B, TokenizerQuestion("http://other:1/tokenize"))
    assert stage.tokenizers.answers() == {}
    stage.gate.clear()
    stage.tokenizers.ask(A, QUESTION)
    await stage.settle()
    stage.tokenizers.ask(A, None)
    await stage.settle()
    assert stage.running == 1, "what B wants to know is still asked, A's is not"
    await stage.tokenizers.close()
    assert stage.running == 0


async def test_not_many_are_asked_at_once() -> None:
    stage = Stage()
    stage.gate.clear()
    for number in range(3 * AT_ONCE):
        stage.tokenizers.ask(("default", f"{number}"), TokenizerQuestion(f"http://{number}:1/"))
    await stage.settle()
    assert stage.most == AT_ONCE
    stage.gate.set()
    await stage.settle()
    assert len(stage.asked) == 3 * AT_ONCE
