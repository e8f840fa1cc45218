"""Whether every locked package has a wheel for both architectures of the image.

``python -m image.wheels`` (part of ``make image-check``) has pip choose, as it would in the image: by the
lock with its hashes, wheels only, for the Python of the Dockerfile's base on Debian. It needs a package
registry, and fetches 30 MB the first time.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from image.dockerfile import ROOT

ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
"""The image's architectures by Docker's name, with their name in wheels."""

NEWEST_GLIBC = 36
"""Debian 12 has glibc 2.36: wheels for a newer one would not be taken."""


class WheelError(RuntimeError):
    """pip cannot install all of a lock for an architecture; the message is its own."""


def python_of_base() -> str:
    """The Python that the Dockerfile's base has, as in ``3.13``."""
    found = re.search(
        r"^ARG BASE=python:(\d+\.\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    assert found, "the Dockerfile's default base says its Python"
    return found[1]


def platform_of(architecture: str) -> dict[str, str]:
    """The markers (PEP 508) of the image of an architecture."""
    python = python_of_base()
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": ARCHITECTURES[architecture],
        "sys_platform": "linux",
    }


def report_for(architecture: str, lock: Path) -> dict[str, Any]:
    """pip's report of what it would install for an architecture. Raises WheelError."""
    machine = ARCHITECTURES[architecture]
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, 4, -1)]
    tags += [f"manylinux2014_{machine}", f"linux_{machine}"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        command += ["--dry-run", "--ignore-installed", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--python-version", python_of_base()]
        command += [word for tag in tags for word in ("--platform", tag)]
        command += ["--target", folder, "--report", str(report), "-r", str(lock)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise WheelError(f"{architecture}: {done.stderr.strip()[-2000:]}")
        answer: dict[str, Any] = json.loads(report.read_text())
    return answer


def main() -> None:
    """Say for each lock and architecture how many wheels there are; exit 1 where one is missing."""
    failed = False
    for lock in (ROOT / "requirements" / "runtime.txt", ROOT / "requirements" / "build.txt"):
        for architecture in ARCHITECTURES:
            try:
                items = report_for(architecture, lock)["install"]
            except WheelError as error:
                print(f"{lock.name}: {error}")
                failed = True
                continue
            files = [item["download_info"]["url"].rpartition("/")[2] for item in items]
            compiled = sum(not name.endswith("-any.whl") for name in files)
            print(
                f"{lock.name} {architecture} Python {python_of_base()}: "
                f"{len(files)} wheels, {compiled} of them compiled"
            )
    sys.exit(failed)


if __name__ == "__main__":
    main()
