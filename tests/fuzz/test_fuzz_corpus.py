"""What fuzzing found stays repaired: the kept corpus, replayed; and some new inputs each time.

`make fuzz` needs atheris; this needs nothing. It is no search, only a net under it.
"""

import hashlib
import random

import pytest

from fuzz import oracles
from fuzz.targets import CORPUS, TARGETS, frames, joined, message
from kvsync.model.source import EventCounts, Gist

BY_TARGET = pytest.mark.parametrize("name", TARGETS)
MUTANTS = 3_000
"""Of each target, always the same ones: a failure can be repeated."""


@BY_TARGET
def test_the_kept_corpus_breaks_no_promise(name: str) -> None:
    target = TARGETS[name]
    assert target.corpus
    for path in target.corpus:
        try:
            target.run(path.read_bytes())
        except BaseException as error:
            error.add_note(f"input: {path}")
            raise


@BY_TARGET
def test_mutants_of_the_corpus_break_no_promise(name: str) -> None:
    target, dice = TARGETS[name], random.Random(name)
    seeds = [path.read_bytes() for path in target.corpus]
    for _ in range(MUTANTS):
        mutant = dice.choice(seeds)
        for _ in range(dice.randint(1, 4)):
            mutant = mutated(mutant, dice.choice(seeds), dice)
        try:
            target.run(mutant[: target.longest])
        except BaseException as error:
            error.add_note(f"input: {mutant[: target.longest].hex()}")
            raise


def mutated(data: bytes, other: bytes, dice: random.Random) -> bytes:
    """One small change, as fuzzers make them."""
    start = dice.randint(0, len(data))
    end = min(len(data), start + dice.choice((1, 1, 2, 8, 64)))
    from_there = dice.randint(0, len(other))
    strange = dice.choice(
        (
            b"",
            bytes([dice.randrange(256)]),
            bytes([dice.randrange(0x80, 0xE0)]),
            dice.choice((b"\xdd", b"\xdf", b"\xdb", b"\xc6")) + dice.randbytes(4),
            other[from_there : from_there + dice.choice((1, 4, 16, 64))],
            data[start:end] * 3,
        )
    )
    return data[:start] + strange + data[end:]


def test_the_corpus_is_small_and_holds_nothing_twice() -> None:
    paths = [path for folder in CORPUS.iterdir() for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in paths) < 300_000
    assert {path.parent.name for path in paths} == {target.seeds for target in TARGETS.values()}
    for path in paths:
        assert path.name == hashlib.sha1(path.read_bytes()).hexdigest(), path


@pytest.mark.parametrize(
    "parts", [[], [b""], [b"a", b"", b"bc"], [b"t", bytes(8), b"x" * 999]], ids=len
)
def test_frames_are_cut_as_they_were_joined(parts: list[bytes]) -> None:
    assert frames(joined(parts)) == parts


# --- the oracles can fail ---


def test_a_gist_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Gist("kv", 0, 1.0, None, EventCounts(), None, None)
    monkeypatch.setattr(oracles, "read_gist", lambda _: wrong)
    with pytest.raises(AssertionError):
        oracles.check_message(message(b"\x92\x02\x90"))


def test_another_exception_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise IndexError

    monkeypatch.setattr(oracles, "parse_replay", broken)
    with pytest.raises(IndexError):
        oracles.check_replay([])


def test_words_of_the_stream_in_an_error_are_found() -> None:
    oracles.check_words("event 7 has str in place of an integer")
    for text in ("event 7 has 'Zanzibar' in place of an integer", "event \u00e9", "has " * 50):
        with pytest.raises(AssertionError):
            oracles.check_words(text)


def test_a_slow_reader_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracles, "SOON", 0.0)
    with pytest.raises(AssertionError):
        oracles.check_message(message(b"\x92\x02\x90"))
