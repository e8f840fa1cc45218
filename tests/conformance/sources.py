"""The released sources of vLLM that arguments are tried on: fetched once, kept in the cache.

A release's source archive is 9 to 47 MB; of it only the Python files are kept. A small environment
of its own has the few libraries that parse and validate (requirements.txt), at their real versions.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

from testbed.cached import made, say
from testbed.programs import cache_directory

REQUIREMENTS = Path(__file__).parent / "requirements.txt"


class SourceError(RuntimeError):
    """A release cannot be had; the message says why."""


@dataclass(frozen=True)
class Source:
    """A release and the digest of its source archive, and why it is worth trying."""

    version: str
    sha256: str
    why: str

    def __str__(self) -> str:
        return self.version


SOURCES = (
    Source(
        "0.9.0",
        "78e3e71fbbd1adfc3b7095b4ab4b6d341c0cffc9e8b96f0c74db275d60108902",
        "the first with KV events",
    ),
    Source(
        "0.11.0",
        "f435a64c24e9c4178d657a76f8edd8548ddc444012f7d06a9f79ac3a6392bfae",
        "the last that needs a publisher by name",
    ),
    Source(
        "0.11.2",
        "496d15bb64ca0fe73adbc57a93b29f4671fa12404c09e0ba02f777bfe60af671",
        "after the publisher became implied",
    ),
    Source(
        "0.16.0",
        "1f684bb31fbef59d862e2fe666e23a41f1d39d93f86215ce1ce1db89a8f5665b",
        "the one that also runs here as a whole",
    ),
    Source(
        "0.24.0",
        "0862453adc1f3339f1a0c9dca1179c34d6ed6e118f87b6e5bddd120af614ac66",
        "the first whose events are maps",
    ),
    Source(
        "0.32.0",
        "d2c957d5eee3d0985012151315ddc62cbe0cd368fc96a5fc3510438d9dddf2ad",
        "the one that the facts on the wire were measured on",
    ),
    Source(
        "0.33.0",
        "f4c33c2503d52bb411146afa9618a4f48bed68912f617e6803ac8d76e4c74112",
        "the newest",
    ),
)


def python() -> Path:
    """The Python that runs the releases' parsers; made the first time (a minute)."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache_directory() / f"conformance-{digest}"
    return made(folder, "installing the parsers' libraries", _install) / "bin" / "python"


def source(release: Source) -> Path:
    """The folder to import ``vllm`` of this release from; fetched the first time."""
    folder = cache_directory() / f"vllm-source-{release.version}-{release.sha256[:8]}"
    return made(folder, f"fetching vLLM {release}", lambda empty: _fetch(release, empty))


def _install(folder: Path) -> None:
    say("conformance: installing pydantic, regex and the like for the releases' parsers")
    # Its programs are called by their Python only, so that it may be renamed when it is whole.
    venv.create(folder, with_pip=True, symlinks=True)
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
    ]
    _run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", REQUIREMENTS])


def _fetch(release: Source, folder: Path) -> None:
    """Download with a client that never runs the package's own build, and keep what is Python."""
    say(f"conformance: fetching the source of vLLM {release} ({release.why})")
    index = os.environ.get("PIP_INDEX_URL")
    command: list[str | Path] = [python(), "-m", "unearth", "--no-binary", "--all"]
    command += ["--download", folder, *(["--index-url", index] if index else [])]
    _run([*command, f"vllm=={release}"])
    archive = folder / f"vllm-{release}.tar.gz"
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != release.sha256:
        raise SourceError(
            f"vLLM {release}: its source has the digest {found}, not {release.sha256}"
        )
    _extract(archive, folder, release.version)
    archive.unlink()
    # vLLM asks for its own version, and takes "cpu" in it for a machine without a GPU.
    metadata = folder / f"vllm-{release}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {release}+cpu\n")


def _extract(archive: Path, folder: Path, version: str) -> None:
    top = f"vllm-{version}/"
    with tarfile.open(archive) as tar:
        wanted = []
        for member in tar:
            name = member.name.removeprefix(top)
            if member.isfile() and name.startswith("vllm/") and name.endswith(".py"):
                member.name = name
                wanted.append(member)
        tar.extractall(folder, wanted, filter="data")


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise SourceError(
            f"{' '.join(map(str, command[:4]))} … failed:\n{done.stderr.strip()[-2000:]}"
        )


def main() -> int:
    """Fetch everything; where there is no network later, run this before."""
    try:
        print(python())
        for release in SOURCES:
            print(source(release))
    except SourceError as error:
        say(f"conformance: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
