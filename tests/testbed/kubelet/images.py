"""The image table: which local program stands for which container image."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.kubelet.expansion import expand_all

IMAGE_VARIABLE = "TESTBED_IMAGE"


@dataclass(frozen=True)
class Image:
    """What an image brings: its entry point, default arguments and environment."""

    match: str
    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    pull_seconds: float = 0.0

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> "Image":
        """Read an entry of the file; raises ValueError naming what is wrong with it."""
        try:
            re.compile(entry["match"])
            return cls(**entry)
        except KeyError:
            raise ValueError(f"image entry without `match`: {entry}") from None
        except (re.error, TypeError) as error:
            raise ValueError(f"image entry {entry}: {error}") from None


class ImageTable:
    """The images of a file; read again when the file changes, so that one may be added later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = 0
        self._images: list[Image] = []

    def find(self, image: str) -> Image | None:
        """Return the first entry whose pattern matches the whole repository of ``image``."""
        self._refresh()
        name = repository(image)
        return next((entry for entry in self._images if re.fullmatch(entry.match, name)), None)

    def _refresh(self) -> None:
        stamp = self._path.stat().st_mtime_ns
        if stamp != self._stamp:
            self._images = [Image.parse(entry) for entry in json.loads(self._path.read_text())]
            self._stamp = stamp


def repository(image: str) -> str:
    """Return an image reference without its tag and digest.

    A colon before the last slash belongs to the registry's port, not to a tag.
    """
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]


def command_line(
    image: Image, command: Sequence[str], args: Sequence[str], variables: Mapping[str, str]
) -> list[str]:
    """Return what to run: ``command`` replaces entrypoint and cmd, ``args`` replaces cmd.

    ``variables`` are the pod's (not the image's, which a kubelet does not know).
    """
    own_args = expand_all(args, variables)
    if command:
        return [*expand_all(command, variables), *own_args]
    return [*image.entrypoint, *(own_args or image.cmd)]
