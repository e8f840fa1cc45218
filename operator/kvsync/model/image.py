"""Container image references, taken apart."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.version import Version, parse_version

ROLLING_TAGS = frozenset({"latest", "nightly", "dev"})


@dataclass(frozen=True, slots=True)
class Image:
    """``repository[:tag][@digest]``; the repository keeps its registry host, if any."""

    repository: str
    tag: str
    digest: str

    @property
    def basename(self) -> str:
        """The last part of the repository: ``vllm-openai`` of ``ghcr.io/mirror/vllm/vllm-openai``."""
        return self.repository.rsplit("/", 1)[-1]

    @property
    def version(self) -> Version | None:
        """The release that the tag names, if it names one."""
        return parse_version(self.tag)

    @property
    def is_rolling(self) -> bool:
        """Whether the tag follows the newest build: ``latest``, ``nightly``, ``nightly-<commit>``."""
        return self.tag.split("-", 1)[0] in ROLLING_TAGS or (not self.tag and not self.digest)


def parse_image(reference: str) -> Image:
    """Split a reference as the container runtimes do: a colon behind the last slash starts the tag."""
    rest, _, digest = reference.partition("@")
    head, slash, tail = rest.rpartition("/")
    name, _, tag = tail.partition(":")
    return Image(f"{head}{slash}{name}", tag, digest)
