"""NAMESPACE NAME as the product text has it, and NAME -n NAMESPACE as kubectl has it."""

from __future__ import annotations

import click
import pytest

from kvsync.cli.named import one_object, some_objects


@pytest.mark.parametrize(
    ("words", "given", "found"),
    [
        (("default", "m"), "", ("default", "m")),
        (("m",), "default", ("default", "m")),
        (("m",), "", (None, "m")),
    ],
)
def test_one_object(words: tuple[str, ...], given: str, found: tuple[str | None, str]) -> None:
    assert one_object(words, given, "DEPLOYMENT") == found


@pytest.mark.parametrize(
    ("words", "given"), [((), ""), ((), "a"), (("a", "b"), "c"), (("a", "b", "c"), "")]
)
def test_what_names_no_object_or_two_is_a_usage_error(words: tuple[str, ...], given: str) -> None:
    with pytest.raises(click.UsageError, match="DEPLOYMENT"):
        one_object(words, given, "DEPLOYMENT")


@pytest.mark.parametrize(
    ("words", "given", "found"),
    [
        ((), "", (None, None)),
        (("default",), "", ("default", None)),
        (("default", "m"), "", ("default", "m")),
        ((), "default", ("default", None)),
        (("m",), "default", ("default", "m")),
    ],
)
def test_some_objects(
    words: tuple[str, ...], given: str, found: tuple[str | None, str | None]
) -> None:
    assert some_objects(words, given) == found


@pytest.mark.parametrize(("words", "given"), [(("a", "b"), "c"), (("a", "b", "c"), "")])
def test_too_many_words_are_a_usage_error(words: tuple[str, ...], given: str) -> None:
    with pytest.raises(click.UsageError):
        some_objects(words, given)
