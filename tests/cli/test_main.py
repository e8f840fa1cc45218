"""The command as a whole: its name, its colors, its completions, and a stream that lacks signs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kvsync.cli.main import COMMANDS, cli, completions, program

BIN = Path(sys.executable).parent


def called(name: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / name), *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **env},
    )


def test_by_the_plugins_name_it_calls_itself_as_kubectl_does() -> None:
    assert program("/usr/bin/kubectl-kvsync") == "kubectl kvsync"
    assert program("C:kubectl-kvsync.exe".rpartition(":")[2]) == "kubectl kvsync"
    assert program("/usr/bin/kvsync") == program("") == "kvsync"
    assert called("kubectl-kvsync", "verify", "-h").stdout.startswith(
        "Usage: kubectl kvsync verify [OPTIONS] [NAMESPACE] [NAME]"
    )


def test_every_command_is_there_and_documents_itself() -> None:
    for name in COMMANDS:
        done = CliRunner().invoke(cli, [name, "--help"])
        assert done.exit_code == 0, name
        assert len(done.output.splitlines()) > 4, name


def test_the_list_of_commands_says_what_each_of_them_says_of_itself() -> None:
    for name, told in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        first = (command.help or "").partition("\n\n")[0]
        assert told == " ".join(first.split())
    listed = CliRunner().invoke(cli, ["--help"]).output
    assert all(f"\n  {name} " in listed for name in COMMANDS)


@pytest.mark.parametrize(
    "words",
    ["--help", "--version", "run --help", "render --help", "render -f MANIFEST", "decode --help"],
)
def test_what_needs_no_cluster_loads_nothing_that_reaches_one(words: str, tmp_path: Path) -> None:
    manifest = tmp_path / "none.yaml"
    manifest.write_text("kind: ConfigMap\n")
    code = (
        "import sys, atexit; from kvsync.cli.main import main\n"
        "atexit.register(lambda: print([m for m in ('kubernetes', 'kopf', 'aiohttp', 'zmq') "
        "if m in sys.modules], file=sys.stderr))\n"
        "main()"
    )
    given = words.replace("MANIFEST", str(manifest)).split()
    done = subprocess.run(
        [sys.executable, "-c", code, *given],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_commands_and_options_are_completed() -> None:
    assert completions(["ver"]) == ["verify", ":4"]
    assert completions([""]) == [*COMMANDS, ":4"]
    assert completions([]) == completions([""])
    found = completions(["doctor", "--name"])
    assert found[0].startswith("--namespace\t")
    assert completions(["completion", ""]) == ["bash", "zsh", "fish", ":4"]


def test_kubectls_completion_of_the_plugin() -> None:
    done = called("kubectl_complete-kvsync", "do")
    assert (done.returncode, done.stdout) == (0, "doctor\n:4\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    script = called("kvsync", "completion", shell)
    assert script.returncode == 0
    assert "_KVSYNC_COMPLETE" in script.stdout


def test_the_script_of_bash_completes(tmp_path: Path) -> None:
    """In a real bash, by the words that it hands over."""
    script = tmp_path / "completion"
    script.write_text(called("kvsync", "completion", "bash").stdout)
    asked = (
        f"source {script}; COMP_WORDS=(kvsync ver); COMP_CWORD=1; "
        '_kvsync_completion kvsync ver kvsync; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", asked],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
    )
    assert done.stdout == "verify\n", done.stderr


def test_a_stream_without_signs_is_no_reason_to_end() -> None:
    done = called("kvsync", "run", "--help", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert "\\u2026" in done.stdout, "an escape stands for the ellipsis"


@pytest.mark.parametrize(
    ("env", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colors_are_for_terminals_whose_owner_wants_them(
    env: dict[str, str], *, colored: bool
) -> None:
    """On a real pseudo-terminal."""
    ours, theirs = os.openpty()
    surroundings = {"TERM": "xterm", "KUBECONFIG": "/nowhere", "HOME": "/nowhere", "PATH": ""}
    words = [str(BIN / "kvsync"), "disable", "--all", "--kubeconfig", "/nowhere"]
    done = subprocess.run(words, stderr=theirs, env=surroundings | env, timeout=30, check=False)
    os.close(theirs)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == 1
    assert "/nowhere does not exist" in said
    assert ("\x1b[" in said) is colored


def test_a_pipe_has_no_colors() -> None:
    done = called("kvsync", "disable", "--all", "--kubeconfig", "/nowhere")
    assert done.stderr.startswith("kvsync: kubeconfig /nowhere does not exist")


@pytest.mark.parametrize("command", ["doctor", "verify", "enable"])
def test_no_error_sends_a_terminal_what_a_stranger_wrote(command: str) -> None:
    words = [command, "m", "--kubeconfig", "/nowhere\x1b[2J"]
    done = called("kvsync", *words)
    assert done.returncode == (1 if command == "enable" else 2)
    assert "/nowhere" in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["enable"], "give NAMESPACE DEPLOYMENT"),
        (["enable", "a", "b", "-n", "c"], "not both"),
        (["enable", "a", "--as-group", "g"], "--as-group goes with --as"),
        (["disable", "a", "-n", "x", "-n", "y"], "several namespaces go with --all"),
        (["verify", "-A", "a"], "not both"),
        (["verify", "-A", "-n", "a"], "not both"),
        (["verify", "a", "b", "-n", "c"], "-n NAMESPACE [NAME]"),
        (["top", "a", "-o", "json"], "goes with --once"),
        (["doctor", "-n", "No"], "is no name of a namespace"),
    ],
)
def test_what_contradicts_itself_is_said_before_anything_is_asked(
    words: list[str], said: str
) -> None:
    refused = CliRunner().invoke(cli, words, env={"KUBECONFIG": "/nowhere", "COLUMNS": "200"})
    assert refused.exit_code == 2, refused.output
    assert said in refused.output


def test_a_stream_can_be_one_that_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    from kvsync.cli import main  # noqa: PLC0415 - its streams are changed here

    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "argv", ["kvsync", "completion", "bash"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0
