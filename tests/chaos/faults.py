"""What can go wrong with a call to the API server, as data, and which call each of them suits."""

from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """One thing that goes wrong with one call. The value is its name on a command line."""

    CONFLICT = "409"
    INVALID = "422"
    TOO_MANY = "429"
    """With ``Retry-After: 1``."""
    INTERNAL = "500"
    UNAVAILABLE = "503"
    GONE = "410"
    """On a watch and on a list's continue token; in a watch that runs, an ERROR event."""
    TRUNCATED = "truncated"
    """Half of the answer, or half of an event and then the end of the watch."""
    RESET = "reset"
    """The connection is reset before the API server heard of the call."""
    LOST = "lost"
    """The API server did it; then the connection is reset, and the answer lost."""
    STALL = "stall"
    """The API server did it, and the answer never comes; the connection stands."""
    STALE = "stale"
    """The answer to the same question as it was some time ago."""
    TWICE = "twice"
    """A watch event comes twice."""
    DROPPED = "dropped"
    """A watch event never comes."""


ANSWERED = frozenset(
    {
        Fault.CONFLICT,
        Fault.INVALID,
        Fault.TOO_MANY,
        Fault.INTERNAL,
        Fault.UNAVAILABLE,
        Fault.GONE,
    }
)
"""Those in which the proxy answers in the API server's place."""

RETRY_AFTER = 1
"""Seconds."""

FIRST_PHASE = "start"
EVENT = "EVENT"
"""The verb of what comes over a watch that runs."""

_ANY = frozenset(
    {
        Fault.TOO_MANY,
        Fault.INTERNAL,
        Fault.UNAVAILABLE,
        Fault.TRUNCATED,
        Fault.RESET,
        Fault.STALL,
    }
)
_WRITE = _ANY | {Fault.CONFLICT, Fault.INVALID, Fault.LOST}
_SUITED = {
    "GET": _ANY,
    "LOG": _ANY - {Fault.TRUNCATED},  # a log has no form that a cut could break
    "LIST": _ANY,
    "CONTINUE": _ANY | {Fault.GONE},
    "WATCH": _ANY | {Fault.GONE},
    EVENT: frozenset(
        {
            Fault.GONE,
            Fault.TRUNCATED,
            Fault.RESET,
            Fault.STALL,
            Fault.TWICE,
            Fault.DROPPED,
        }
    ),
    "CREATE": _WRITE,
    "UPDATE": _WRITE,
    "PATCH": _WRITE,
    "DELETE": _WRITE,
}


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """One call by a name that is the same in each run, whatever comes before or after another.

    ``phase`` is the part of the story in which it is sent, ``number`` counts the calls of the same
    verb to the same ``path`` in it, from 1.
    """

    phase: str
    verb: str
    path: str
    number: int

    def __str__(self) -> str:
        return f"{self.phase}:{self.verb}:{self.path}:{self.number}"


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault of one call."""

    call: Call
    fault: Fault

    def __str__(self) -> str:
        return f"{self.call}={self.fault.value}"


def suits(call: Call) -> frozenset[Fault]:
    """The faults that can happen to a call."""
    found = _SUITED[call.verb]
    # Something old can only be told of what was told before.
    told = call.number > 1 or call.phase != FIRST_PHASE
    return found | {Fault.STALE} if call.verb in ("GET", "LIST") and told else found


def read_injection(text: str) -> Injection:
    """An injection by its name. Raises ValueError where it is none."""
    named, equals, fault = text.rpartition("=")
    parts = named.split(":")
    if not equals or len(parts) != 4 or parts[1] not in _SUITED:
        raise ValueError(f"{text!r} is not of the form PHASE:VERB:PATH:NUMBER=FAULT")
    phase, verb, path, number = parts
    return Injection(Call(phase, verb, path, int(number)), Fault(fault))
