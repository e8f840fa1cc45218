"""What the sidecar asks for and may use: as the object says, and derived where it says nothing.

A pod is of the class Guaranteed while each of its containers has limits for CPU and memory and asks for
just these (Kubernetes ``pkg/apis/core/v1/helper/qos``): such pods keep their cores and are evicted last,
and a sidecar must not take that from an engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kvsync.model.quantity import parse_quantity
from kvsync.model.spec import Amounts, RelayResources
from kvsync.model.workload import JSON, Deployment

_KINDS = ("cpu", "memory")
_ASKED = Amounts(cpu="50m", memory="64Mi")
_MOST_MEMORY = "256Mi"
_GUARANTEED = Amounts(cpu="250m", memory=_MOST_MEMORY)
"""The relay takes some 5 % of a core at 50 batches a second, and a fifth at 200 (docs/benchmarks.md)."""

_MIB = 2**20
_PROCESS_MIB = 48
_BYTES_OF_BLOCK = 400
_BYTES_IN_JOURNAL = 96
_JOURNAL_MIB = 4
_MOST_MIB, _MOST_BLOCKS = 65_536, 10_000_000
"""What a relay takes (``kvsync relay --max-memory``, ``--max-blocks``)."""
_BINARY = ("Mi", "Gi", "Ti")
_DECIMAL = ("M", "G", "T")


@dataclass(frozen=True, slots=True)
class Share:
    """What one sidecar gets, as quantities in the form that the API server keeps; empty: nothing said."""

    requests: Amounts
    limits: Amounts

    @property
    def body(self) -> JSON:
        """The field ``resources`` of its container."""
        parts = {"requests": self.requests, "limits": self.limits}
        return {name: said for name, part in parts.items() if (said := _said(part))}

    @property
    def table_mib(self) -> int:
        """MiB that its table of blocks may take: the rest is for the process, and for its journal."""
        memory = int(parse_quantity(self.limits.memory) / _MIB)
        return min(max(2, (memory - _PROCESS_MIB) // 2), _MOST_MIB)

    @property
    def table_blocks(self) -> int:
        """Blocks of 16 tokens that go into so much memory."""
        return min(self.table_mib * _MIB // _BYTES_OF_BLOCK, _MOST_BLOCKS)

    @property
    def journal(self) -> str:
        """Memory that its journal may take, of which there are two for a moment (docs/relay.md)."""
        one = self.table_blocks * _BYTES_IN_JOURNAL // _MIB + _JOURNAL_MIB
        return _canonical_memory(f"{2 * (one + 1)}Mi")


def share_of(base: Deployment, wanted: RelayResources) -> Share:
    """The resources of a sidecar in the pods of a workload (without our changes)."""
    return _equal(wanted) if is_guaranteed(base) else _burstable(wanted)


def _equal(wanted: RelayResources) -> Share:
    """Requests and limits alike; where the object wants two different ones, the pod's class is its choice."""
    limits = _filled(wanted.limits, _filled(wanted.requests, _GUARANTEED))
    return Share(_canonical(_filled(wanted.requests, limits)), _canonical(limits))


def _burstable(wanted: RelayResources) -> Share:
    """No limit for CPU: a throttled relay would hold events up."""
    memory = wanted.limits.memory or _larger(wanted.requests.memory, _MOST_MEMORY)
    limits = Amounts(wanted.limits.cpu, memory)
    cpu = wanted.requests.cpu or _smaller(_ASKED.cpu, limits.cpu)
    asked = Amounts(cpu, wanted.requests.memory or _smaller(_ASKED.memory, memory))
    return Share(_canonical(asked), _canonical(limits))


def _filled(amounts: Amounts, default: Amounts) -> Amounts:
    return Amounts(amounts.cpu or default.cpu, amounts.memory or default.memory)


def _smaller(one: str, other: str) -> str:
    return other if other and parse_quantity(other) < parse_quantity(one) else one


def _larger(one: str, other: str) -> str:
    return one if one and parse_quantity(one) > parse_quantity(other) else other


def is_guaranteed(workload: Deployment) -> bool:
    """Whether the pods of a workload are of the class Guaranteed."""
    return all(map(_is_fixed, _containers(workload)))


def _containers(workload: Deployment) -> Iterator[JSON]:
    spec = workload.template.get("spec") or {}
    yield from spec.get("containers") or ()
    yield from spec.get("initContainers") or ()


def _is_fixed(container: JSON) -> bool:
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    try:
        # A request that is absent is the limit.
        return all(
            parse_quantity(limits.get(kind, 0)) > 0
            and parse_quantity(requests.get(kind, limits[kind])) == parse_quantity(limits[kind])
            for kind in _KINDS
        )
    except ValueError:
        return False


def _said(amounts: Amounts) -> dict[str, str]:
    return {kind: text for kind in _KINDS if (text := getattr(amounts, kind))}


def _canonical(amounts: Amounts) -> Amounts:
    """The amounts as the API server writes them back, so that what was written compares as it is."""
    return Amounts(_canonical_cpu(amounts.cpu), _canonical_memory(amounts.memory))


def _canonical_cpu(text: str) -> str:
    if not text:
        return ""
    thousandths = int(parse_quantity(text) * 1000)
    whole, rest = divmod(thousandths, 1000)
    return f"{thousandths}m" if rest else str(whole)


def _canonical_memory(text: str) -> str:
    for units, step in ((_BINARY, 1024), (_DECIMAL, 1000)):
        unit = next((unit for unit in units if text.endswith(unit)), "")
        if unit:
            return _in_largest(int(text.removesuffix(unit)), units, units.index(unit), step)
    return text


def _in_largest(number: int, units: tuple[str, ...], place: int, step: int) -> str:
    while number % step == 0 and place + 1 < len(units):
        number, place = number // step, place + 1
    return f"{number}{units[place]}"
