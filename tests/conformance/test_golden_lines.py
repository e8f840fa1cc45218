"""Every command line that the golden corpus comes to is accepted by each release, and turns events on."""

from functools import cache

import pytest

from conformance.changed import Line, line_after
from conformance.command_line import engine_start
from conformance.release import UNRECOGNIZED, Release
from conformance.sources import SOURCES
from core.objects import spec_of
from golden.files import load
from golden.test_golden_deployments import CASES, CORPUS
from kvsync.model.spec import Dialect
from kvsync.model.version import parse_version

pytestmark = pytest.mark.conformance

VERSIONS = tuple(source.version for source in SOURCES)


@cache
def lines() -> dict[str, Line]:
    """By case; those that the operator refuses have none, and SGLang's are no business of vLLM.

    Where a word depends on what only a cluster knows, there is nothing to read yet.
    """
    found = {}
    for name in CASES:
        body, sync = load(CORPUS / name / "deployment.yaml"), load(CORPUS / name / "sync.yaml")
        if "sglang" in str(body).lower():
            continue
        line = line_after(body, spec_of(**sync.get("spec", {})), sync.get("runningVersion"))
        if line is not None and not any("$(" in word for word in line.start.words):
            found[name] = line
    return found


def is_for(release: Release, name: str, line: Line) -> bool:
    """Whether the release is to be asked about the line: about what its owner configured, from the
    rules of its own release on; it need not work in older ones, and stays as it is. Else, any.
    """
    if not name.startswith("existing-") or line.version is None:
        return True
    this, *known = map(parse_version, (release.version, *VERSIONS))
    older = [version for version in known if version and version <= line.version]
    return this is None or this >= max(older, default=this)


def is_right(release: Release, line: Line) -> bool:
    """Whether the release takes the line for what the operator means by it."""
    parsed = release.parse(line.start.words, entry=line.start.entry)
    if line.dialect is Dialect.FLAGS:
        return parsed.exit == 2 and UNRECOGNIZED in parsed.error
    config = parsed.config or {}
    return parsed.publishes and (
        config["endpoint"] == f"tcp://*:{line.events.port}"
        and config["replay_endpoint"] == f"tcp://*:{line.events.replay_port}"
        # Without a topic in the spec the owner's stays: who subscribes to "" hears every topic.
        and line.events.topic in ("", config["topic"])
    )


def test_the_release_takes_every_line_of_the_corpus_as_it_is_meant(release: Release) -> None:
    meant = {name: line for name, line in lines().items() if is_for(release, name, line)}
    wrong = {name: line for name, line in meant.items() if not is_right(release, line)}
    assert sorted(wrong) == []
    assert len(meant) >= 60


def test_a_script_is_run_by_its_shell_and_the_engine_noted() -> None:
    script = 'set -e\nexport A=1\nnumactl -N 0 vllm serve $M --topic "$A b" \\\n  --port=8000 "$@"'
    start = engine_start(["tini", "--", "/bin/sh", "-c", script, "sh", "--more"], {"M": "m"})
    assert start.entry == "vllm"
    assert start.words == ("serve", "m", "--topic", "1 b", "--port=8000", "--more")


def test_a_script_without_an_engine_is_told() -> None:
    with pytest.raises(LookupError, match="starts no engine"):
        engine_start(["bash", "-c", "true"])
