"""Where promtool, and the parser of PromQL, come from: a given file, the cache, or a build by Go.

No package registry carries promtool but Debian's, which needs root; its Go module builds in a minute
on two cores (without service discovery, which only ``promtool check config`` needs). ``python -m
testbed.promtool.install`` builds both and prints their files. A first build needs the network, which
``testbed.enter`` leaves: inside only what is cached is found.
"""

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from testbed.cached import made, say
from testbed.gobuild import BuildError, compile_package, find_go
from testbed.programs import SOURCE as GO_SOURCE
from testbed.programs import cache_directory

HERE = Path(__file__).parent
GIVEN_VARIABLE = "KVSYNC_PROMTOOL"
PACKAGES = {
    "promtool": "github.com/prometheus/prometheus/cmd/promtool",
    "expressions": "./expressions",
}
FLAGS = ("-trimpath", "-buildvcs=false", "-tags", "remove_all_sd", "-ldflags", "-s -w")


class PromtoolError(RuntimeError):
    """A program cannot be had; the message says why and what to do."""


def find_promtool(environment: Mapping[str, str] = os.environ) -> Path:
    """promtool; KVSYNC_PROMTOOL names another one, such as that of Debian's package prometheus.

    Raises PromtoolError.
    """
    given = environment.get(GIVEN_VARIABLE)
    if not given:
        return built("promtool", environment)
    if not os.access(given, os.X_OK):
        raise PromtoolError(f"{GIVEN_VARIABLE}={given} is not a program; give one, or unset it")
    return Path(given)


def find_parser(environment: Mapping[str, str] = os.environ) -> Path:
    """The program that says which metrics and labels expressions name. Raises PromtoolError."""
    return built("expressions", environment)


def built(program: str, environment: Mapping[str, str] = os.environ) -> Path:
    """A program of the cache, built the first time. Raises PromtoolError."""
    cache = cache_directory(environment)
    folder = cache / f"{program}-{fingerprint()}"
    doing = f"building {program}"
    return made(folder, doing, lambda empty: _build(program, empty, cache)) / program


def fingerprint() -> str:
    """What the programs depend on, as 16 hex digits: sources, flags, machine."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "expressions/main.go"):
        digest.update((HERE / name).read_bytes())
    digest.update("\0".join((*FLAGS, platform.system(), platform.machine())).encode())
    return digest.hexdigest()[:16]


def _build(program: str, folder: Path, cache: Path) -> None:
    try:
        go = find_go(GO_SOURCE, cache)  # whatever builds the control plane builds this
        say(f"building {program} with {go}; about a minute for the first one")
        compile_package(go, HERE, folder / program, FLAGS, PACKAGES[program])
    except BuildError as error:
        raise PromtoolError(
            f"building {program} failed: {error}\n"
            "A first build needs the network, which testbed.enter leaves: run"
            f" `python -m testbed.promtool.install` before it. {GIVEN_VARIABLE}=FILE uses a"
            " promtool from elsewhere."
        ) from error


def main() -> int:
    """Build what is not there and print the programs; progress and errors go to stderr."""
    try:
        print(find_promtool())
        print(find_parser())
    except PromtoolError as error:
        say(f"testbed.promtool.install: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
