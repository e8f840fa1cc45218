"""Whatever goes wrong while a part is read becomes a fact with its reason."""

from __future__ import annotations

import asyncio

import pytest

from kvsync.cli.examination.reading_part import read_part
from kvsync.core.doctor.facts import Unread
from kvsync.model.errors import AccessError, ConnectionLost, Forbidden, NotFound


async def fails(error: Exception) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "missing", "forbidden", "words"),
    [
        (NotFound("no such thing"), True, False, "It was not found: no such thing."),
        (Forbidden("you may not"), False, True, "It may not be read: you may not."),
        (ConnectionLost("broken"), False, False, "It cannot be read: broken."),
        (AccessError("no way"), False, False, "It cannot be read: no way."),
        (KeyError("spec"), False, False, "It cannot be understood: KeyError: 'spec'."),
    ],
)
async def test_an_error_is_a_fact(
    error: Exception, words: str, *, missing: bool, forbidden: bool
) -> None:
    assert await read_part(fails(error), "It", 1.0) == Unread(words, missing, forbidden)


async def test_what_takes_too_long_is_given_up() -> None:
    found = await read_part(asyncio.sleep(60, 1), "It", 0.01)
    assert isinstance(found, Unread)
    assert found.why.startswith("It: no answer within")


async def test_what_is_read_is_handed_on() -> None:
    assert await read_part(asyncio.sleep(0, 7), "It", 1.0) == 7
