"""The runbook has an entry for every reason, each with a way out, and none for reasons that are gone."""

import re
from pathlib import Path

from kvsync.model.reasons import ConditionReason, ModelReason
from kvsync.model.source import SourceReason

RUNBOOK = Path(__file__).resolve().parents[1] / "docs" / "runbook.md"


def entries() -> dict[str, str]:
    parts = re.split(r"^### (\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_reason_has_an_entry_and_every_entry_a_reason() -> None:
    reasons = {r.value for kind in (ModelReason, SourceReason, ConditionReason) for r in kind}
    assert set(entries()) == reasons


def test_every_entry_says_what_to_do() -> None:
    assert [name for name, text in entries().items() if "**What to do:**" not in text] == []
