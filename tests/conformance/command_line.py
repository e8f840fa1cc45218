"""What the engine's own program is started with, once a container's command and args have run."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MODULE = "vllm.entrypoints.openai.api_server"
SHELLS = frozenset({"sh", "bash", "dash", "ash"})
ENGINES = ("vllm", "python3", "python")
# What scripts do before they start an engine, and what they start it through.
OTHERS = (
    "pip",
    "sleep",
    "mkdir",
    "nvidia-smi",
    "ray",
    "numactl",
    "env",
    "tini",
    "nice",
    "nohup",
    "tee",
)

# A script may name a program by a path, which no PATH can lead elsewhere.
_BY_PATH = re.compile(rf"(?<![\w.])/[\w./-]*/({'|'.join((*ENGINES, *OTHERS))})(?![\w./-])")

# Stands for a program: notes what it was started with, and ends well.
_RECORDER = """#!{python} -IS
import json, sys
open({notes!r}, "a").write(json.dumps(sys.argv) + "\\n")
"""


# What the cluster would set and the script has no default for; "1" does for a name and a number.
_VARIABLE = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)\b(?!:?[-+=?])")

# A shell function: this machine's limits, which a container would not have, must not end a script.
_NO_LIMITS = {"BASH_FUNC_ulimit%%": "() { :; }"}


@dataclass(frozen=True)
class Start:
    """Which of vLLM's two parsers reads which words."""

    entry: str
    words: tuple[str, ...]


def engine_start(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Start:
    """What vLLM gets of a container's command and args, behind wrappers and through shells.

    Words without a program are arguments of the image's own entry point; of a program that is not
    known, its arguments are taken. Raises LookupError where a script starts no engine.
    """
    for index, word in enumerate(words):
        if PurePosixPath(word).name in SHELLS:
            return _run(words[index:], environment or {})
        found = _engine_at(words, index)
        if found:
            return found
    arguments = words if not words or words[0].startswith("-") else words[1:]
    return Start("module", tuple(arguments))


def _engine_at(words: Sequence[str], index: int) -> Start | None:
    rest = tuple(words[index + 1 :])
    if words[index] == MODULE:
        return Start("module", rest)
    return Start("vllm", rest) if PurePosixPath(words[index]).name == "vllm" else None


def _run(words: Sequence[str], environment: Mapping[str, str]) -> Start:
    """Let the real shell run its script, with nothing on PATH but recorders: the engine's words."""
    with tempfile.TemporaryDirectory(prefix="kvsync-conformance-") as name:
        folder, notes = Path(name) / "bin", Path(name) / "notes"
        folder.mkdir()
        for program in (*ENGINES, *OTHERS):
            recorder = folder / program
            recorder.write_text(_RECORDER.format(python=sys.executable, notes=str(notes)))
            recorder.chmod(0o755)
        given = {**dict.fromkeys(_VARIABLE.findall(" ".join(words)), "1"), **environment}
        done = subprocess.run(
            _hermetic(words),
            env={**given, **_NO_LIMITS, "PATH": str(folder), "HOME": str(folder)},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        lines = notes.read_text().splitlines() if notes.exists() else []
    started = [json.loads(line) for line in lines]
    starts = (_engine_at(one, index) for one in started for index in range(len(one)))
    found = next((start for start in starts if start), None)
    if found is None:
        raise LookupError(
            f"the script starts no engine: {words}\nstarted: {started}\n{done.stderr}"
        )
    return found


def _hermetic(words: Sequence[str]) -> list[str]:
    """The shell's words without what would reach this machine: login files, programs by path."""
    option = words[1].replace("l", "") if words[1:] and not words[1].startswith("--") else ""
    rest = [option, *words[2:]] if option else words[1:]
    return [f"/bin/{PurePosixPath(words[0]).name}", *(_BY_PATH.sub(r"\1", word) for word in rest)]
