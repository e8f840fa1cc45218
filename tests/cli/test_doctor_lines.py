"""What kvsync doctor prints: signs, letters where there are none, and nothing of a stranger's that acts."""

from __future__ import annotations

import io

from kvsync.cli.doctor import lines
from kvsync.cli.marks import LETTERS, SIGNS, signs
from kvsync.core.doctor.finding import Report, good, left_open, wrong

REPORT = Report(
    "https://api from outside of the cluster",
    (
        good("crd", "Served."),
        wrong("gateway", "Gone.", "Install it.", "ns/gw"),
        left_open("redis", "Unknown.", "Ask from inside."),
    ),
)


def test_a_line_a_finding_and_one_for_its_remedy() -> None:
    assert [text for text, _ in lines(REPORT, SIGNS)] == [
        "Asked https://api from outside of the cluster.",
        "✓ crd      Served.",
        "✗ gateway  ns/gw: Gone.",
        "           -> Install it.",
        "? redis    Unknown.",
        "           -> Ask from inside.",
        "1 ✓, 1 ✗, 1 ?",
    ]
    assert [color for _, color in lines(REPORT, SIGNS)][1:3] == ["green", "red"]


def test_letters_stand_in_where_the_stream_has_no_signs() -> None:
    for encoding, expected in (("utf-8", SIGNS), ("ascii", LETTERS), ("latin-1", LETTERS)):
        assert signs(io.TextIOWrapper(io.BytesIO(), encoding=encoding)) == expected
    texts = [text for text, _ in lines(REPORT, LETTERS)]
    assert texts[1:3] == ["ok crd      Served.", "no gateway  ns/gw: Gone."]
    assert "\n".join(texts).isascii()
