"""All objects that share a gateway, folded into the one environment that it gets.

A pure function of the wishes and of what the gateway reads already: whichever object's pass computes
it, it comes to the same. What is contradictory is a conflict of all of them. What nobody asked for by
name (a derived endpoint, a block size that no engine has told yet) stays as it is in use, for a change
restarts the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kvsync.core.consumption.settings import TOKEN_BYTES, read_settings
from kvsync.core.gateway import gateway_version, owners_of, variable_names
from kvsync.model.image import parse_image
from kvsync.model.spec import GatewaySpec
from kvsync.model.standing import GatewayWish, Standing
from kvsync.model.version import Version
from kvsync.model.workload import Deployment

ENDPOINTS = (
    "AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT",
    "AIBRIX_REMOTE_TOKENIZER_ENDPOINT",
)

_GATEWAY_IMAGE = "gateway"
_USUAL_PORT = 8000
"""Where the gateway asks pods to tokenize unless it is told otherwise."""
_MOST_NAMED = 5
_SHOWN = 120
_USUAL_ENGINE = GatewaySpec().tokenizer_engine


@dataclass(frozen=True, slots=True)
class Member:
    """One object that shares a gateway: its mark, ``namespace/name``, and what it wants."""

    mark: str
    wish: GatewayWish


@dataclass(frozen=True, slots=True)
class GatewayValues:
    """What a gateway's environment is made of (``templates/gateway``). ``block_size`` is in tokens."""

    names: tuple[str, ...]
    tokenizer_engine: str
    tokenizer_endpoint: str
    block_size: int | None
    http_port: int


@dataclass(frozen=True, slots=True)
class Fold:
    """Who shares a gateway with an object, itself among them, by mark, and why they cannot: empty where
    they can."""

    members: tuple[Member, ...]
    conflict: str
    own: Member = field(compare=False)

    @property
    def marks(self) -> frozenset[str]:
        """The marks of all of them."""
        return frozenset(member.mark for member in self.members)

    def in_force(self, marked: Collection[str]) -> tuple[Member, ...]:
        """Those whose wishes count now: ready, or with a mark on the gateway from when they were."""
        return tuple(m for m in self.members if m.wish.ready or m.mark in marked)


def fold(own: Member, others: Iterable[Standing]) -> Fold:
    """Everyone who shares a Deployment with an object, directly or through another one."""
    members = _sharing(own, others)
    return Fold(members, next(_contradictions(members), ""), own)


def _sharing(own: Member, others: Iterable[Standing]) -> tuple[Member, ...]:
    found, reached = [own], set(own.wish.spec.consumers)
    rest = [
        (Member(each.sync, each.wish), each.wish.spec.consumers)
        for each in others
        if each.wish is not None and each.wish.asks
    ]
    while near := [each for each in rest if not reached.isdisjoint(each[1])]:
        rest = [each for each in rest if reached.isdisjoint(each[1])]
        for member, consumers in near:
            found.append(member)
            reached.update(consumers)
    return tuple(sorted(found, key=lambda member: member.mark))


def _contradictions(members: Sequence[Member]) -> Iterator[str]:
    """What the objects cannot all have, a sentence each."""
    for what, values_of in _SINGLE:
        # Who wants it matters only where they differ, and there may be a thousand of them.
        if len({value for member in members for value in values_of(member.wish)}) > 1:
            wanted: dict[str, list[str]] = {}
            for member in members:
                for value in sorted(values_of(member.wish)):
                    wanted.setdefault(value, []).append(member.mark)
            yield f"{what}: {_who_wants_what(wanted)}."


def _who_wants_what(wanted: Mapping[str, Sequence[str]]) -> str:
    parts = [f"{shown(value)} ({_listed(marks)})" for value, marks in sorted(wanted.items())]
    more = len(parts) - _MOST_NAMED
    return " and ".join(parts[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _listed(marks: Sequence[str]) -> str:
    more = len(marks) - _MOST_NAMED
    return ", ".join(marks[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def shown(url: str) -> str:
    """A URL for sentences that others read too: without its query, and not for ever."""
    base, query, _ = url.partition("?")
    return base[:_SHOWN] + ("…" if query or len(base) > _SHOWN else "")


def _endpoints(wish: GatewayWish) -> tuple[str, ...]:
    endpoint = wish.spec.tokenizer_endpoint
    return (endpoint,) if endpoint else ()


def _engines(wish: GatewayWish) -> tuple[str, ...]:
    # The schema fills in the default, which is nobody's wish.
    engine = wish.spec.tokenizer_engine
    return (engine,) if engine != _USUAL_ENGINE else ()


_SINGLE: tuple[tuple[str, Callable[[GatewayWish], Iterable[str]]], ...] = (
    ("spec.gateway.remoteTokenizer.endpoint differs", _endpoints),
    ("spec.gateway.remoteTokenizer.engine differs", _engines),
    ("spec.gateway.container differs", lambda wish: (wish.spec.container,)),
    (
        "The engines' block sizes differ, of which the gateway knows only one",
        lambda wish: {str(size) for size in wish.block_sizes},
    ),
)
"""What there is one of for a gateway, and whom it is wanted by."""


def values_for(members: Sequence[Member], deployment: Deployment, container: str) -> GatewayValues:
    """What a Deployment's environment is made of, by those whose wishes count.

    ``container`` names the one that reads it. Without a contradiction only.
    """
    wishes = [member.wish for member in members]
    version = _release(deployment, container)
    environments = {wish.spec.environment for wish in wishes}
    names = {name for each in environments for name in variable_names(each, version)}
    used = _InUse.of(deployment, container)
    engines = {engine for wish in wishes for engine in _engines(wish)}
    sizes = {size for wish in wishes for size in wish.block_sizes}
    return GatewayValues(
        names=tuple(sorted(names)),
        tokenizer_engine=min(engines, default=_USUAL_ENGINE),
        tokenizer_endpoint=_endpoint(wishes, used),
        block_size=min(sizes, default=used.block_size),
        http_port=_http_port(wishes, used),
    )


def _release(deployment: Deployment, container: str) -> Version | None:
    """The release by which names of variables are chosen: another program's number is not a gateway's,
    so that it gets all of them."""
    found = deployment.container(container)
    ours = found is not None and _GATEWAY_IMAGE in parse_image(found.image).basename
    return gateway_version(deployment, container) if ours else None


def _endpoint(wishes: Sequence[GatewayWish], used: _InUse) -> str:
    explicit = {endpoint for wish in wishes for endpoint in _endpoints(wish)}
    derived = [wish.derived_endpoint for wish in wishes if wish.derived_endpoint]
    return min(explicit, default="") or used.endpoint or next(iter(derived), "")


def _http_port(wishes: Sequence[GatewayWish], used: _InUse) -> int:
    """The engines' port; where they differ one that works for some stays, else that of their kind."""
    ports = {port for wish in wishes for port in wish.http_ports}
    usual = {wish.usual_port for wish in wishes}
    if len(ports) == 1:
        return ports.pop()
    if used.http_port in ports:
        return used.http_port
    return usual.pop() if len(usual) == 1 else _USUAL_PORT


@dataclass(frozen=True, slots=True)
class _InUse:
    """What a gateway was told by objects that need it; after a restart of the operator no engine has
    been asked yet, and that is no reason to restart the gateway with one variable less."""

    endpoint: str = ""
    block_size: int | None = None
    http_port: int = 0

    @classmethod
    def of(cls, deployment: Deployment, container: str) -> _InUse:
        found = deployment.container(container) if owners_of(deployment) else None
        if found is None:
            return cls()
        endpoints = (found.env(name) for name in ENDPOINTS)
        settings = read_settings(found)
        size = (settings.block_bytes or 0) // TOKEN_BYTES if settings.block_size else 0
        template = settings.tokenizer_template
        return cls(
            endpoint=next((text for text in endpoints if text), ""),
            block_size=size or None,
            http_port=(settings.tokenizer_port or 0) if template else 0,
        )
