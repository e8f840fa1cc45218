"""The Dockerfile as stages of steps, and which files its .dockerignore lets through."""

import io
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Step:
    """One instruction with its text, line ends joined."""

    instruction: str
    value: str


@dataclass(frozen=True)
class Stage:
    """What stands from one FROM to the next."""

    name: str
    base: str
    steps: tuple[Step, ...]

    def values(self, instruction: str) -> list[str]:
        """The texts of all its instructions of one kind."""
        return [step.value for step in self.steps if step.instruction == instruction]

    @property
    def entrypoint(self) -> list[str]:
        """The words of its ENTRYPOINT in JSON form."""
        words = json.loads(self.values("ENTRYPOINT")[-1])
        assert isinstance(words, list)
        return words


def read_stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile, in their order."""
    stages: list[Stage] = []
    for step in _steps(text):
        if step.instruction == "FROM":
            base, *rest = step.value.split()
            name = rest[1] if len(rest) == 2 and rest[0].upper() == "AS" else ""
            stages.append(Stage(name, base, ()))
        elif stages:
            last = stages[-1]
            stages[-1] = Stage(last.name, last.base, (*last.steps, step))
    return stages


def _steps(text: str) -> Iterator[Step]:
    # The parser wants a file that it could write to.
    parser = DockerfileParser(fileobj=io.BytesIO(text.encode()), env_replace=False)
    for found in parser.structure:
        if found["instruction"] != "COMMENT":
            yield Step(found["instruction"], found["value"])


def pairs(value: str) -> dict[str, str]:
    """``NAME=VALUE …`` of an ENV or LABEL."""
    return dict(word.split("=", 1) for word in shlex.split(value))


def sent(root: Path, patterns: Sequence[str]) -> list[Path]:
    """The files below ``root`` that a build gets to see, as paths relative to it.

    Only what this repository's .dockerignore uses is understood: ``*``, ``!`` with a plain path, and
    ``**/NAME``. The last pattern that fits a file or a folder above it decides, as in Docker's own reading.
    """
    allowed = [Path(each[1:]) for each in patterns if each.startswith("!")]
    files = (path for each in allowed for path in _files(root / each))
    return sorted(path for path in (f.relative_to(root) for f in files) if _passes(path, patterns))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]


def _passes(path: Path, patterns: Sequence[str]) -> bool:
    verdict = True
    for pattern in patterns:
        if _fits(PurePosixPath(path), pattern.removeprefix("!")):
            verdict = pattern.startswith("!")
    return verdict


def _fits(path: PurePosixPath, pattern: str) -> bool:
    places = (path, *path.parents[:-1])
    if pattern.startswith("**/"):
        return any(fnmatchcase(place.name, pattern[3:]) for place in places)
    # A star does not cross a slash.
    return any(
        len(place.parts) == pattern.count("/") + 1 and fnmatchcase(str(place), pattern)
        for place in places
    )


def read_ignored(text: str) -> list[str]:
    """The patterns of a .dockerignore."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
