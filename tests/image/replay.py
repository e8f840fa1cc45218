"""The Dockerfile's steps, carried out in a folder: what an image would hold, without a container.

The same text is run, with ``/build`` and ``/opt`` moved below a folder of ours, and an empty virtual
environment of this machine's Python in place of the base image. What it made is then run as a cluster
does: another user without rights, a root file system that nobody can write to, no variables but the
image's own.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from image.dockerfile import ROOT, Stage, Step, pairs, read_ignored, read_stages, sent
from testbed.cached import locked

PLACES = re.compile(r"(?<![\w./-])/(?=(?:build|opt)(?:[/\s:;'\"]|$))")
"""Where a path begins that the steps make. All others, such as /usr, are the machine's."""

USER = 65532

KEPT = "installed"
"""The stage that is looked at beside the last one."""

_CONFINED = """
mount --bind "$0" "$0" && mount -o remount,bind,ro,nosuid,nodev "$0" && mount -o remount,bind,ro / &&
exec unshare --user --map-user={user} --map-group={user} -- "$@"
"""


class ReplayError(RuntimeError):
    """A step failed, or is one that cannot be carried out here."""


@dataclass(frozen=True)
class Image:
    """What the last stage holds, and how it is started."""

    root: Path
    environment: Mapping[str, str]
    entrypoint: Sequence[str]

    def command(self, words: Sequence[str]) -> list[str]:
        """The command line that runs these words as the image's user, on a root that is read-only."""
        script = _CONFINED.format(user=USER)
        enter = [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "--propagation",
            "private",
            "--",
        ]
        return [*enter, "sh", "-c", script, str(self.root), *words]

    def run(self, *arguments: str, program: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run the image's entry point, or another program of it, with these arguments."""
        words = [*(program or self.entrypoint), *arguments]
        return subprocess.run(
            self.command(words),
            env=dict(self.environment),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


class Builder:
    """Carries out stages, one after the other, in one folder."""

    def __init__(self, folder: Path, context: Path) -> None:
        self._folder = folder
        self._root = folder / "root"
        self._context = context
        self._base = folder / "base"
        self._done: dict[str, Path] = {}
        self.environment: dict[str, str] = {}

    def build(self, stages: Sequence[Stage]) -> Image:
        """Carry out all; the image of the last. Raises ReplayError."""
        for number, stage in enumerate(stages):
            self._root.mkdir()
            self.environment = {"PATH": f"{self._base}/bin:/usr/local/bin:/usr/bin:/bin"}
            if stage.base != "scratch":
                self._make_base()
            place = self._root
            for step in stage.steps:
                place = self._step(step, place)
            if number < len(stages) - 1:
                # The next stage finds nothing but what it copies out of this one.
                self._done[stage.name] = self._root.rename(self._folder / f"stage-{stage.name}")
        # Whatever it still needed of these would be missing in a container too.
        for left in (self._base, self._folder / "base-as-made", *self._done.values()):
            if not left.name.endswith(KEPT):
                shutil.rmtree(left, ignore_errors=True)
        path = self._moved("/opt")
        words = [shutil.which(stages[-1].entrypoint[0], path=self.environment["PATH"]) or ""]
        assert words[0].startswith(path), "the entry point is not of the image"
        return Image(self._root, self.environment, [*words, *stages[-1].entrypoint[1:]])

    def _make_base(self) -> None:
        """A fresh one for each stage, as each begins with the base image."""
        pristine = self._folder / "base-as-made"
        if not pristine.exists():
            _check([sys.executable, "-m", "venv", str(self._base)], {}, self._folder)
            shutil.copytree(self._base, pristine, symlinks=True)
        shutil.rmtree(self._base)
        shutil.copytree(pristine, self._base, symlinks=True)

    def _moved(self, text: str) -> str:
        return PLACES.sub(f"{self._root}/", text)

    def _step(self, step: Step, place: Path) -> Path:
        if step.instruction == "WORKDIR":
            place = Path(self._moved(step.value))
            place.mkdir(parents=True)
        elif step.instruction == "COPY":
            self._copy(shlex.split(step.value), place)
        elif step.instruction == "RUN":
            command = ["/bin/sh", "-ec", self._moved(step.value)]
            _check(command, {**_pip_settings(), **self.environment}, place)
        elif step.instruction == "ENV":
            for name, value in pairs(self._moved(step.value)).items():
                self.environment[name] = Template(value).safe_substitute(self.environment)
        elif step.instruction not in {"ARG", "LABEL", "USER", "ENTRYPOINT"}:
            raise ReplayError(
                f"{step.instruction} cannot be carried out here; teach tests/image it"
            )
        return place

    def _copy(self, words: Sequence[str], place: Path) -> None:
        if words[0].startswith("--from="):
            origin = self._done[words[0].removeprefix("--from=")]
            source, target = words[1], words[2]
            kept = self._root / target.lstrip("/")
            if target.endswith("/"):
                kept /= Path(source).name
            kept.parent.mkdir(parents=True, exist_ok=True)
            _copy_tree(origin / source.lstrip("/"), kept)
            return
        *sources, target = words
        files = sent(self._context, read_ignored((self._context / ".dockerignore").read_text()))
        for source in sources:
            chosen = [each for each in files if each.is_relative_to(source.rstrip("/"))]
            if not chosen:
                raise ReplayError(f"COPY {source}: nothing of it passes .dockerignore")
            for each in chosen:
                inner = each.relative_to(source) if source.endswith("/") else Path(each.name)
                copied = place / target / inner
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self._context / each, copied)


def _copy_tree(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def _pip_settings() -> dict[str, str]:
    """What tells pip of this machine where it finds packages and keeps what it fetched."""
    wanted = ("HOME", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    return {
        name: value
        for name, value in os.environ.items()
        if name in wanted or name.startswith("PIP_") or name.lower().endswith("_proxy")
    }


def _check(command: Sequence[str], environment: Mapping[str, str], place: Path) -> None:
    done = subprocess.run(
        command,
        env=dict(environment) or None,
        cwd=place,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-3000:]
        raise ReplayError(f"{shlex.join(command)} ended with {done.returncode}:\n{said}")


def shared_image(folder: Path) -> Image:
    """The image below ``folder``, built by the first process that asks. Raises ReplayError."""
    told = folder / "image.json"
    with locked(folder.with_suffix(".lock"), "building the image"):
        if not told.exists():
            folder.mkdir()
            image = build_image(folder)
            told.write_text(json.dumps([str(image.root), image.environment, image.entrypoint]))
    root, environment, entrypoint = json.loads(told.read_text())
    return Image(Path(root), environment, entrypoint)


def build_image(folder: Path) -> Image:
    """Carry out the repository's Dockerfile below ``folder``; 10 to 20 s. Raises ReplayError."""
    return Builder(folder, ROOT).build(read_stages((ROOT / "Dockerfile").read_text()))
