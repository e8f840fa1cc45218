"""What pods get as they are created (mode Admission): the entries of ``status.injections``.

They are the parameters of the admission policy ``kvsync-operator-inject``, in the form of
crds/kveventsync.yaml.
A pod gets an entry where its ReplicaSet is of that workload and it carries the entry's token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kvsync.model.record import INJECTION_ANNOTATION, Place, Rewrite, Variable

__all__ = [
    "INJECTED_LABEL",
    "INJECTION_ANNOTATION",
    "MAX_INJECTIONS",
    "InjectedRelay",
    "Injection",
    "Rewrite",
    "Variable",
    "read_injections",
]

INJECTED_LABEL = "kvsync.aibrix.ai/injected"
"""The label that only the policy gives to a pod: with the token it proves that the pod has its entry."""

MAX_INJECTIONS = 500
MAX_ARGS = 16
MAX_ARG = 8192
MAX_WORDS = 512
MAX_WORD = 65536
MAX_PORTS = 4
MAX_LABELS = 4

_LATEST = 1 << 40
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class InjectedRelay:
    """The sidecar, in the ``place`` of a pod's spec that holds such ones, and its volume."""

    place: str
    container: Mapping[str, Any]
    volume: Mapping[str, Any]

    def entry(self) -> dict[str, Any]:
        """Its form in the status."""
        return {
            "field": self.place,
            "container": dict(self.container),
            "volume": dict(self.volume),
        }


@dataclass(frozen=True, slots=True)
class Injection:
    """What the pods of one workload get, all of it or nothing.

    ``token`` is a digest of all but itself and ``since``; ``since`` is when it was published first, in
    seconds since the epoch. Either ``args``, ``rewrite`` or ``env`` changes the command line, or none
    where it is right already. ``labels`` holds the one that proves it, too.
    """

    workload: str
    container: str
    token: str
    since: int
    args: tuple[str, ...] = ()
    rewrite: Rewrite | None = None
    env: Variable | None = None
    ports: tuple[tuple[str, int], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    relay: InjectedRelay | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others: a workload may have one more, of pods that are there still."""
        return (self.workload, self.token)

    def entry(self) -> dict[str, Any]:
        """Its form in the status; what is empty is left out."""
        parts: dict[str, Any] = {
            "args": list(self.args),
            "rewrite": self.rewrite and self.rewrite.entry(),
            "env": self.env and self.env.entry(),
            "ports": [{"name": name, "containerPort": number} for name, number in self.ports],
            "labels": dict(self.labels),
            "relay": self.relay and self.relay.entry(),
        }
        head = {
            "workload": self.workload,
            "container": self.container,
            "token": self.token,
            "since": self.since,
        }
        return {**head, **{name: value for name, value in parts.items() if value}}

    @property
    def fits(self) -> bool:
        """Whether the status may hold it: within the bounds of the schema."""
        rewritten = (*self.rewrite.before, *self.rewrite.after) if self.rewrite else ()
        lists = (self.rewrite.before, self.rewrite.after) if self.rewrite else ()
        values = (self.env.value, self.env.before or "") if self.env else ()
        return (
            len(self.args) <= MAX_ARGS
            and all(len(word) <= MAX_ARG for word in self.args)
            and all(len(words) <= MAX_WORDS for words in lists)
            and all(len(text) <= MAX_WORD for text in (*rewritten, *values))
            and len(self.ports) <= MAX_PORTS
            and len(self.labels) <= MAX_LABELS
        )


def read_injections(entries: object) -> tuple[Injection, ...]:
    """The entries of a status, which anyone may have written: what cannot be read is left out."""
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return ()
    return tuple(_readable(entries[:MAX_INJECTIONS]))


def _readable(entries: Iterable[object]) -> Iterator[Injection]:
    for entry in entries:
        try:
            yield _injection(_mapping(entry))
        except (KeyError, TypeError, ValueError):
            continue


def _injection(entry: Mapping[str, Any]) -> Injection:
    return Injection(
        workload=_text(entry["workload"]),
        container=_text(entry["container"]),
        token=_text(entry["token"]),
        since=_moment(entry["since"]),
        args=_words(entry.get("args", ())),
        rewrite=_optional(entry.get("rewrite"), _rewrite),
        env=_optional(entry.get("env"), _variable),
        ports=tuple(_port(_mapping(port)) for port in entry.get("ports", ())),
        labels={_text(k): _text(v) for k, v in _mapping(entry.get("labels", {})).items()},
        relay=_optional(entry.get("relay"), _relay),
    )


def _rewrite(entry: Mapping[str, Any]) -> Rewrite:
    return Rewrite(Place(entry["field"]), _words(entry["before"]), _words(entry["after"]))


def _variable(entry: Mapping[str, Any]) -> Variable:
    before = entry.get("before")
    return Variable(
        _text(entry["name"]), _text(entry["value"]), None if before is None else _text(before)
    )


def _port(entry: Mapping[str, Any]) -> tuple[str, int]:
    return _text(entry["name"]), _number(entry["containerPort"])


def _relay(entry: Mapping[str, Any]) -> InjectedRelay:
    return InjectedRelay(
        _text(entry["field"]), _mapping(entry["container"]), _mapping(entry["volume"])
    )


def _optional(value: object, read: Callable[[Mapping[str, Any]], _T]) -> _T | None:
    return None if value is None else read(_mapping(value))


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"an object is needed, not {type(value).__name__}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is needed, not {type(value).__name__}")
    return value


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"a list is needed, not {type(value).__name__}")
    return tuple(map(_text, value))


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"a whole number is needed, not {type(value).__name__}")
    return value


def _moment(value: object) -> int:
    number = _number(value)
    if not 0 <= number < _LATEST:
        raise ValueError(f"{number} is no time")
    return number
