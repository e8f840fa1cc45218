"""Which vLLM the stand-in is: read from its image's name, as a real image is what its tag says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

UPSTREAM_REPOSITORY = "vllm/vllm-openai"
FLAGS_SUFFIX = "-kvflags"
_NUMBERS = re.compile(r"(?:^|[-_])v?(\d+)\.(\d+)(?:\.(\d+))?")


class Version(NamedTuple):
    """A release number; orders as releases do."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


NEWEST = Version(0, 33)
_FLAGS_SINCE = Version(0, 7)
_CONFIG_SINCE = Version(0, 9)


@dataclass(frozen=True, slots=True)
class Build:
    """A release, and which dialect of KV event settings it takes.

    ``takes_flags`` marks a build made for the AIBrix text (``--enable-kv-cache-events`` …); no
    release of upstream is one. Such a build knows nothing of ``--kv-events-config``.
    """

    version: Version
    takes_flags: bool = False

    @property
    def takes_config(self) -> bool:
        """Whether ``--kv-events-config`` exists: upstream has it from 0.9.0 on."""
        return not self.takes_flags and self.version >= _CONFIG_SINCE


def build_from(environ: Mapping[str, str]) -> Build:
    """The build that TESTBED_VLLM_VERSION (first) or the tag in TESTBED_IMAGE names.

    Without a number in either (``latest``, a digest, nothing at all) it is the newest release.
    """
    repository, tag = split_image(environ.get("TESTBED_IMAGE", ""))
    text = environ.get("TESTBED_VLLM_VERSION") or tag
    version = parse_version(text) or NEWEST
    return Build(version, _takes_flags(repository, text, version))


def parse_version(text: str) -> Version | None:
    """The first release number in a tag such as ``v0.10.2-cu128``, or None."""
    found = _NUMBERS.search(text)
    if found is None:
        return None
    major, minor, patch = found.groups(default="0")
    return Version(int(major), int(minor), int(patch))


def split_image(image: str) -> tuple[str, str]:
    """Repository and tag of an image reference; the tag is empty when it names none."""
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return folder + slash + last, tag


def _takes_flags(repository: str, text: str, version: Version) -> bool:
    if text.endswith(FLAGS_SUFFIX):
        return True
    upstream = not repository or f"/{repository}".endswith(f"/{UPSTREAM_REPOSITORY}")
    return not upstream and _FLAGS_SINCE <= version < _CONFIG_SINCE
