"""The NetworkPolicy of a model, whole: by its ports, its relay, its kind, and what others restrict."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from core.objects import SERVE, TEMPLATES, Json, container, deployment, spec_of
from core.scenes import gateway_of, model, observe, rolled_out
from core.test_isolation import OPERATOR, other
from golden.files import check
from kvsync.core.decide import decide
from kvsync.model.decision import Kind
from kvsync.model.network import NetworkPolicy, ObservedNetwork
from kvsync.model.observed import ObservedModel
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.storm import StormService
from model.storms import role, storm

CORPUS = Path(__file__).parent / "network_policies"
RANKS = container(command=[*SERVE, "--data-parallel-size=2"], ports=[{"containerPort": 9000}])
Case = tuple[ObservedModel, KVEventSyncSpec, Sequence[NetworkPolicy]]


def of(body: Json, *policies: NetworkPolicy, **fields: Json) -> Case:
    return model(rolled_out(body)), spec_of(**fields), policies


def of_storm(body: Json) -> Case:
    service = StormService(body)
    seen = ObservedModel(service.model, True, service, (), {})
    return seen, spec_of(models={"names": ["pd"]}), ()


CASES: dict[str, Case] = {
    "plain": of(deployment()),
    "other-ports": of(deployment(), events={"port": 6000, "replayPort": 7000}),
    "two-ranks": of(deployment(RANKS)),
    "relay": of(deployment(), events={"relay": {"mode": "Always"}}),
    "restricted-by-its-owner": of(deployment(), other()),
    "role-of-a-stormservice": of_storm(storm(role("prefill"))),
}


@pytest.mark.parametrize("name", CASES)
def test_golden_policy(name: str, request: pytest.FixtureRequest) -> None:
    one, spec, policies = CASES[name]
    seen = observe(one, spec=spec, gateway=gateway_of())
    seen = replace(seen, network=ObservedNetwork(OPERATOR, tuple(policies)))
    (body,) = [
        action.body
        for action in decide(seen, TEMPLATES).actions
        if action.kind is Kind.NETWORK_POLICY and action.body is not None
    ]
    rewrite = bool(request.config.getoption("--rewrite-golden"))
    check(CORPUS / f"{name}.yaml", body, rewrite=rewrite)


def test_every_expectation_has_its_case() -> None:
    assert {path.stem for path in CORPUS.glob("*.yaml")} == CASES.keys()
