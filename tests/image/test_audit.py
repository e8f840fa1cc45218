"""What is installed is what is locked, with hashes; and what `make audit` makes of answers."""

import importlib.metadata
import re

import pytest

from image.audit import HOLES, LOCKS, NOT_ASKED, Answer, read, report
from image.bill import locked
from image.dockerfile import ROOT

FINE = Answer({}, frozenset())


@pytest.mark.parametrize("lock", LOCKS)
def test_each_package_is_locked_to_one_version_with_hashes(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    lines = [line for line in text.splitlines() if line and line[0] not in " #"]
    assert lines
    assert [line for line in lines if not re.match(r"[a-z0-9-]+(\[[a-z,-]+\])?==[^ ]+", line)] == []
    assert all(digests for _, _, digests in locked(text))


def test_all_locks_are_audited() -> None:
    assert {path.name for path in (ROOT / "requirements").glob("*.txt")} == set(LOCKS)


def test_what_is_installed_is_what_is_locked() -> None:
    wanted = {name: version for name, version, _ in locked(_dev())}
    found = {name: importlib.metadata.version(name) for name in wanted}
    assert found == wanted


def _dev() -> str:
    return (ROOT / "requirements" / "dev.txt").read_text()


def test_an_answer_is_read() -> None:
    hole = {"id": "PYSEC-1", "fix_versions": ["2.0", "1.9"]}
    told = [
        {"name": "good", "version": "1", "vulns": []},
        {"name": "bad", "version": "1", "vulns": [hole, {"id": "PYSEC-2", "fix_versions": []}]},
        {"name": "odd", "skip_reason": "not found"},
    ]
    answer = read({"dependencies": told})
    said = "PYSEC-1 (mended in 2.0 or 1.9), PYSEC-2 (mended in no release yet)"
    assert answer == Answer({"bad 1": said}, frozenset({"odd"}))


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        ({"a.txt": FINE}, 0, "a.txt: no known holes"),
        ({"a.txt": FINE, "b.txt": None}, NOT_ASKED, "b.txt: could not be asked for: neither"),
        ({"a.txt": Answer({}, frozenset("xy"))}, NOT_ASKED, "a.txt: could not be asked for: x, y"),
        ({"a.txt": Answer({"x 1": "PYSEC-1"}, frozenset("y")), "b.txt": None}, HOLES, "a.txt: x 1"),
    ],
)
def test_no_answer_is_not_taken_for_a_good_one(
    answers: dict[str, Answer | None], code: int, said: str
) -> None:
    lines, found = report(answers)
    assert found == code
    assert any(line.startswith(said) for line in lines), lines


def test_one_service_knows_what_the_other_does_not() -> None:
    first = Answer({}, frozenset({"x", "y"}))
    second = Answer({"x 1": "PYSEC-1"}, frozenset({"y"}))
    assert first.with_more(second) == Answer({"x 1": "PYSEC-1"}, frozenset({"y"}))
    assert first.with_more(None) == first
