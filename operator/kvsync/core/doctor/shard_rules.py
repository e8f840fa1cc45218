"""Where operators share the objects by their labels: each object is served by one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kvsync.core.doctor.facts import Facts, Unread
from kvsync.core.doctor.finding import Finding, good, left_open, wrong
from kvsync.core.doctor.told_settings import told_settings
from kvsync.core.leadership import DEFAULT_LEASE
from kvsync.core.shards import server_of
from kvsync.model.observed import KVEventSync
from kvsync.model.selector_text import selector_text
from kvsync.model.shard import Shard
from kvsync.model.workload import Deployment

_CHECK = "shards"
_DIVIDE = "Have the selectors divide all objects, such as shard=a and shard!=a (docs/scale.md)."
_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Operator:
    """One operator, by its settings."""

    shard: Shard
    namespaces: tuple[str, ...]

    @classmethod
    def of(cls, deployment: Deployment) -> _Operator:
        told = told_settings(deployment)
        lease = told.lease_name or DEFAULT_LEASE
        shard = Shard(f"{deployment.namespace}/{lease}", told.object_selector)
        return cls(shard, told.namespaces)

    @property
    def words(self) -> str:
        selector = self.shard.selector
        return f"{self.shard.name} ({selector_text(selector) if selector else 'all objects'})"

    def serves(self, sync: KVEventSync) -> bool:
        here = not self.namespaces or sync.namespace in self.namespaces
        return here and self.shard.selects(sync)


def shards(facts: Facts) -> Iterator[Finding]:
    """Each object is served by one operator; nothing is said where none of them has a selector."""
    if isinstance(facts.operator, Unread):
        return
    operators = [_Operator.of(each) for each in facts.operator.deployments]
    shared = any(operator.shard.is_part for operator in operators)
    if not shared and not any(server_of(sync) for sync in facts.listed):
        return
    findings = [found for sync in facts.listed if (found := _object(sync, operators)) is not None]
    yield from findings
    if not findings:
        yield good(
            _CHECK, f"Each of {len(facts.listed)} objects is served by one of {len(operators)}."
        )


def _object(sync: KVEventSync, operators: list[_Operator]) -> Finding | None:
    title, server = f"{sync.namespace}/{sync.name}", server_of(sync)
    found = [operator for operator in operators if operator.serves(sync)]
    if not found:
        told = ", ".join(operator.words for operator in operators[:_NAMED])
        return wrong(
            _CHECK,
            f"No operator serves it by its labels: {told}. It stays as it is, and if it is deleted "
            "waits for its finalizer.",
            f"Label it for one of them: kubectl label kves {sync.name} -n {sync.namespace} KEY=VALUE. "
            f"{_DIVIDE}",
            title,
        )
    if len(found) > 1:
        told = " and ".join(operator.words for operator in found[:_NAMED])
        return left_open(_CHECK, f"It is selected by {told}: the first keeps it.", _DIVIDE, title)
    if server and server != found[0].shard.name:
        return left_open(
            _CHECK,
            f"Shard {server} has not let go of it yet; {found[0].words} waits.",
            "Wait a moment; see that both operators run. One that is gone is waited for until its Lease "
            "has ended, and for good where the other one may not read it: then take status.shard off.",
            title,
        )
    return None
