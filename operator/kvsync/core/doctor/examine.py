"""All rules in their order, and the report that they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kvsync.core.doctor import (
    admission_rules,
    cost_rules,
    gateway_rules,
    object_rules,
    operator_rules,
    rights_rules,
    server_rules,
    shard_rules,
    source_rules,
)
from kvsync.core.doctor.facts import Facts, Unread
from kvsync.core.doctor.finding import Finding, Report

Rule = Callable[[Facts], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    server_rules.api_server,
    server_rules.crd,
    admission_rules.admission,
    rights_rules.permissions,
    operator_rules.pods,
    operator_rules.release,
    operator_rules.leader,
    gateway_rules.gateways,
    gateway_rules.variables,
    gateway_rules.redis,
    gateway_rules.tokenizer,
    shard_rules.shards,
    object_rules.objects,
    object_rules.engines,
    object_rules.prefix_caching,
    source_rules.network,
    source_rules.ports,
    source_rules.publishing,
    source_rules.labels,
    source_rules.engine_logs,
    cost_rules.memory,
    cost_rules.bandwidth,
)
"""From the ground up: what stands below is often explained by what stands above it."""


def examine(facts: Facts) -> Report:
    """Every finding of every rule."""
    stand = facts.stand
    seen_from = f"{stand.server} {stand.words}" + (f" as {stand.user}" if stand.user else "")
    if isinstance(facts.server, Unread):
        return Report(seen_from, tuple(server_rules.api_server(facts)), no_access=True)
    findings = tuple(found for rule in RULES for found in rule(facts))
    return Report(seen_from, findings, no_access=_sees_nothing(facts))


def _sees_nothing(facts: Facts) -> bool:
    """Whether whoever asks may read nothing but the API server's release."""
    gateways = [each.deployment for each in facts.gateways]
    parts = (facts.rights, facts.operator, facts.lease, *gateways, *facts.objects)
    return all(isinstance(part, Unread) and not part.missing for part in parts)
