"""docs/security.md names, for each threat, a test that there is."""

import re

from documentation.markdown import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()


def threats() -> list[list[str]]:
    body = PAGE.partition("| threat |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()[2:]]


def test_every_threat_is_stopped_by_something_and_shown_by_a_test() -> None:
    assert len(threats()) >= 15
    for threat, stopped, shown in threats():
        assert stopped, threat
        named = re.findall(r"`(tests/[\w./]+)(?:::(\w+))?`", shown)
        assert named, threat
        for path, function in named:
            assert (ROOT / path).exists(), f"{threat}: {path}"
            if function:
                assert f"def {function}(" in (ROOT / path).read_text(), (
                    f"{threat}: {path}::{function}"
                )
