"""The Dockerfile by its text: what it promises to a cluster, and what a build gets to see."""

import subprocess
import sys
from pathlib import Path

import pytest

from image.dockerfile import ROOT, Stage, Step, pairs, read_ignored, read_stages, sent
from image.replay import USER, Builder, ReplayError

TEXT = (ROOT / "Dockerfile").read_text()
FINAL = read_stages(TEXT)[-1]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_its_user_is_the_one_of_the_chart_and_numeric() -> None:
    # Kubernetes cannot tell a name from root (runAsNonRoot).
    assert FINAL.values("USER") == [f"{USER}:{USER}"]
    values = (ROOT / "charts/kvsync-operator/values.yaml").read_text()
    assert f"runAsUser: {USER}" in values
    assert f"runAsGroup: {USER}" in values


def test_arguments_of_a_pod_go_to_kvsync() -> None:
    assert FINAL.entrypoint == ["kvsync"]
    assert not FINAL.values("CMD")


def test_one_base_is_named_and_can_be_given_by_digest() -> None:
    assert {stage.base for stage in read_stages(TEXT)} == {"${BASE}", "scratch"}


def test_all_that_is_fetched_is_locked() -> None:
    steps = [step.value for stage in read_stages(TEXT) for step in stage.steps]
    installs = [part for step in steps for part in step.split("&&") if " install " in part]
    assert len(installs) == 3
    for part in installs:
        assert "--require-hashes" in part or "--no-index" in part, part
    assert not [step for step in steps if any(word in step for word in ("curl", "wget", "apt-get"))]


@pytest.mark.parametrize("base", ["", "python:3.13-slim", "python@sha256:12"])
def test_make_image_refuses_a_base_without_digest(base: str) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "image", f"BASE={base}", "DOCKER=false"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "give the base by digest" in done.stdout


def test_make_image_builds_for_both_architectures_from_a_digest() -> None:
    base = "python:3.13-slim@sha256:" + "0" * 64
    done = subprocess.run(
        ["make", "--no-print-directory", "image", f"BASE={base}", "DOCKER=echo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()[-1]
    assert "--platform linux/amd64,linux/arm64" in said
    assert f"--build-arg BASE={base}" in said


IGNORED = ["*", "!operator", "!LICENSE", "!docs/one.md", "**/__pycache__"]


def test_only_what_is_let_through_is_sent(tmp_path: Path) -> None:
    inside = ("operator/kvsync/a.py", "LICENSE", "docs/one.md")
    for name in (*inside, "operator/kvsync/__pycache__/a.pyc", "docs/two.md", ".git/config"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [str(path) for path in sent(tmp_path, IGNORED)] == sorted(inside)


def test_no_test_no_secret_and_no_bytecode_is_sent() -> None:
    patterns = read_ignored((ROOT / ".dockerignore").read_text())
    files = sent(ROOT, patterns)
    tops = {path.parts[0] for path in files}
    assert tops == {
        *("requirements", "pyproject.toml", "README.md", "LICENSE", "crds", "templates", "operator")
    }
    assert {path.suffix for path in files} <= {
        ".txt",
        ".toml",
        ".md",
        "",
        ".yaml",
        ".j2",
        ".py",
        ".typed",
    }


def test_stages_are_read_with_their_joined_lines() -> None:
    stages = read_stages(
        "ARG B=x\nFROM ${B} AS one\n# no\nRUN a \\\n && b\nFROM scratch\nCOPY --from=one /a /\n"
    )
    assert stages == [
        Stage("one", "${B}", (Step("RUN", "a  && b"),)),
        Stage("", "scratch", (Step("COPY", "--from=one /a /"),)),
    ]
    assert pairs('A=1 B="two words"') == {"A": "1", "B": "two words"}


def test_a_step_that_cannot_be_carried_out_is_said(tmp_path: Path) -> None:
    unknown = Stage("", "scratch", (Step("VOLUME", "/data"), Step("ENTRYPOINT", '["x"]')))
    with pytest.raises(ReplayError, match="VOLUME"):
        Builder(tmp_path, ROOT).build([unknown])


def test_a_step_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    failing = Stage("", "scratch", (Step("RUN", "echo no such thing >&2; exit 3"),))
    with pytest.raises(ReplayError, match="ended with 3:\nno such thing"):
        Builder(tmp_path, ROOT).build([failing])


def test_what_is_kept_from_the_build_is_an_error(tmp_path: Path) -> None:
    missing = Stage("", "scratch", (Step("COPY", "tests/ tests/"),))
    with pytest.raises(ReplayError, match="nothing of it passes"):
        Builder(tmp_path, ROOT).build([missing])
