"""Release versions as tags and engines write them."""

import pytest

from kvsync.model.version import Version, parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v0.11.0", (0, 11, 0)),
        ("0.11.0", (0, 11, 0)),
        ("v0.10.2-cu128", (0, 10, 2)),
        ("v0.9.0.1", (0, 9, 0)),
        ("0.12.0rc1+local", (0, 12, 0)),
        ("0.9.2.dev0+g1a2b3c4", (0, 9, 2)),
        ("v0.6", (0, 6, 0)),
        ("0.8.5.post1", (0, 8, 5)),
        (" v0.7.0\n", (0, 7, 0)),
    ],
)
def test_what_names_a_release(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == Version(*version)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "nightly-0123abc",
        "v1",
        "cu128-v0.10.2",
        "0.x",
        "main",
        "0.12345678.1",
        "-0.1.2",
    ],
)
def test_what_names_none(text: str) -> None:
    assert parse_version(text) is None


def test_releases_are_ordered_as_numbers() -> None:
    assert parse_version("v0.9.2") < parse_version("v0.10.0")  # type: ignore[operator]
    assert str(Version(0, 9)) == "0.9.0"
