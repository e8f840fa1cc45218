"""The runbook has an entry for every reason, each with a way out, and none for reasons that are gone.

That it has one for each alert is held by tests/chart/test_alerts.py.
"""

import re
from pathlib import Path

from kvsync.model.reasons import ConditionReason, ModelReason
from kvsync.model.source import ACTIVE, HEALTHY, SourceReason

RUNBOOK = Path(__file__).resolve().parents[1] / "docs" / "runbook.md"


def entries() -> dict[str, str]:
    reasons = RUNBOOK.read_text().partition("\n## Alerts\n")[0]
    parts = re.split(r"^### (\w+)$", reasons, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_reason_has_an_entry_and_every_entry_a_reason() -> None:
    reasons = {r.value for kind in (ModelReason, SourceReason, ConditionReason) for r in kind}
    assert set(entries()) == reasons


def test_every_entry_says_what_to_do() -> None:
    assert [name for name, text in entries().items() if "**What to do:**" not in text] == []


def test_the_detection_matrix_has_a_row_for_every_reason_of_a_source_and_says_what_it_comes_to() -> (
    None
):
    section = RUNBOOK.read_text().partition("\n## Sources\n")[2].partition("\n### ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    assert [row[0] for row in rows[2:]] == [reason.value for reason in SourceReason]
    for reason, seen, how_soon, verified in rows[2:]:
        assert seen
        assert how_soon
        open_ = reason in (SourceReason.CONNECTING, SourceReason.PROBE_RESTARTED)
        good = reason in HEALTHY | ACTIVE
        assert verified.split(",")[0] == ("as before" if open_ else "yes" if good else "no")
