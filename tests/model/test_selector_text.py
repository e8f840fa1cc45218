"""Selectors in one line: read as kubectl -l reads them, and told in words that are read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.model.selector_text import parse_selector, selector_text

LABELS: tuple[dict[str, str], ...] = (
    {},
    {"shard": "a"},
    {"shard": "b", "team": "x"},
    {"shard": "", "example.com/tier": "gold"},
)


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("shard=a", (False, True, False, False)),
        ("shard == a", (False, True, False, False)),
        ("shard!=a", (True, False, True, True)),
        ("shard in (a, b)", (False, True, True, False)),
        ("shard notin (a,b)", (True, False, False, True)),
        ("shard", (False, True, True, True)),
        ("!shard", (True, False, False, False)),
        ("shard=", (False, False, False, True)),
        ("shard=b,team in (x, y), !example.com/tier", (False, False, True, False)),
    ],
)
def test_what_is_selected(text: str, selected: tuple[bool, ...]) -> None:
    assert tuple(parse_selector(text).matches(labels) for labels in LABELS) == selected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is none of KEY=VALUE"),
        ("a=b,", "is none of KEY=VALUE"),
        ("replicas>3", "no label key"),
        ("shard in a", "is none of KEY=VALUE"),
        ("shard=a b", "is none of KEY=VALUE"),
        ("Shard/=a", "no label key"),
        ("shard=ä", "no label value"),
        (",".join(f"l{n}=a" for n in range(17)), "at most 16"),
        (f"shard in ({','.join(f'v{n}' for n in range(65))})", "at most 64"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_can(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_selector(text)


WORDS = st.sampled_from(("a", "b", "shard", "team-1", "x.y_z"))
VALUES = st.lists(st.sampled_from(("", "a", "b", "c-1")), min_size=1, max_size=3)
REQUIREMENTS = st.one_of(
    WORDS,
    WORDS.map("!{}".format),
    st.builds(
        lambda key, sign, values: f"{key}{sign}{values[0]}",
        WORDS,
        st.sampled_from(("=", "!=", "==")),
        VALUES,
    ),
    st.builds(
        lambda key, word, values: f"{key} {word} ({', '.join(values)})",
        WORDS,
        st.sampled_from(("in", "notin")),
        VALUES,
    ),
)


@given(st.lists(REQUIREMENTS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_its_words_are_read_as_the_same_whatever_the_order(
    parts: list[str], random: object
) -> None:
    selector = parse_selector(",".join(parts))
    assert parse_selector(selector_text(selector)) == selector
    assert parse_selector(" , ".join(reversed(parts))) == selector
