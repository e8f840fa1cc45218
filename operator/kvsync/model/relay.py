"""The relay in an engine's pod: what its pieces are called, and the ports between the two."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from kvsync.model.version import Version

RELAY_CONTAINER = "kvsync-relay"
"""The sidecar's name in every pod. People and tools see it: it is an API."""

RELAY_VOLUME = "kvsync-relay"
"""The volume that outlives the container, not the pod."""

RELAY_DIRECTORY = "/var/run/kvsync-relay"
"""Where that volume is mounted."""

MAX_RANKS = 64
"""Data-parallel ranks that one relay takes (``kvsync relay --ranks``)."""


class RelayForm(enum.StrEnum):
    """How the sidecar stands in its pod."""

    NATIVE = "Native"
    """An init container that runs on (``restartPolicy: Always``)."""
    PLAIN = "Plain"
    """A container like any other, for clusters that know no native sidecars."""

    @property
    def field(self) -> str:
        """The field of a pod's spec that holds such a sidecar."""
        return "initContainers" if self is RelayForm.NATIVE else "containers"


def form_in(kubernetes: Version | None) -> RelayForm:
    """The form for a cluster of this release; None: not known, and hardly an old one.

    Source: Kubernetes KEP-753, on by default since 1.29.
    """
    old = kubernetes is not None and kubernetes < Version(1, 29)
    return RelayForm.PLAIN if old else RelayForm.NATIVE


@dataclass(frozen=True, slots=True)
class RelayMeans:
    """What relays are made of here: the operator's own image, and the form that the cluster knows.

    ``others`` are the images that an object may name beside it, as repositories, or as beginnings of
    such that end with a slash; None: any, as where the user's own rights write the change.
    """

    image: str = ""
    form: RelayForm = RelayForm.NATIVE
    others: tuple[str, ...] | None = None

    def permits(self, image: str) -> bool:
        """Whether an object may name this image: the operator's own repository at any tag always."""
        if self.others is None:
            return True
        own = (repository_of(self.image),) if self.image else ()
        repository = repository_of(image)
        return any(
            repository == each or (each.endswith("/") and repository.startswith(each))
            for each in (*own, *self.others)
        )


def repository_of(image: str) -> str:
    """An image's name without its tag and its digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


NO_IMAGE = RelayMeans()
"""Where the operator was not told of its own image."""

_FIRST = 5656
_FAR = 101


@dataclass(frozen=True, slots=True)
class RelayPorts:
    """The relay's ports that are of no concern outside of the pod, but for ``http``.

    The engine's rank r connects to ``upstream`` + r, where the relay listens, and listens itself for
    replay requests on ``upstream_replay`` + r, both on the pod's loopback.
    """

    http: int = _FIRST
    upstream: int = _FIRST + 1
    upstream_replay: int = _FIRST + 2

    @classmethod
    def of(cls, ranks: int, first: int = _FIRST) -> RelayPorts:
        """The ports from ``first`` on; those of several ranks lie apart, so that none meets another."""
        return cls(first, first + 1, first + (2 if ranks == 1 else _FAR))

    def all_of(self, ranks: int) -> frozenset[int]:
        """Every port that is taken for so many ranks."""
        firsts = (self.upstream, self.upstream_replay)
        return frozenset({self.http, *(port + rank for port in firsts for rank in range(ranks))})
