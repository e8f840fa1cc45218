"""Nothing that is written carries the marks by which Argo CD and Helm know what is theirs.

An object with Argo CD's tracking id, or under label tracking with the instance label, is pruned with the
Application that it names.
"""

import json

import pytest

from core.objects import Json, container, deployment, spec_of
from core.scenes import configured, decided, gateway_of, model, pod_of, rolled_out, working
from core.test_isolation import look
from kvsync.model.decision import Decision, Kind

TRACKING, INSTANCE = "argocd.argoproj.io/tracking-id", "app.kubernetes.io/instance"
RELAYED = {"events": {"relay": {"mode": "Always"}}}


def tracked() -> Json:
    """A model of an Application: marked itself, its pods labelled, and selected by that."""
    body = deployment(container(args=["--model=tiny"]))
    body["metadata"]["annotations"] = {TRACKING: "my-app:apps/Deployment:default/model"}
    body["metadata"]["labels"] = {INSTANCE: "my-app"}
    for labels in (body["spec"]["selector"]["matchLabels"], _template(body)["labels"]):
        labels[INSTANCE] = "my-app"
    return body


def _template(body: Json) -> Json:
    found: Json = body["spec"]["template"]["metadata"]
    return found


def written(decision: Decision) -> str:
    """All that is written, but for what a NetworkPolicy selects: that has to name the pods as they are."""
    operations = [dict(o) for action in decision.actions for o in action.operations]
    made = [action.body["metadata"] for action in decision.actions if action.body is not None]
    return json.dumps([operations, made])


@pytest.mark.parametrize("spec", [{}, RELAYED, {"mode": "Admission"}])
def test_a_change_carries_no_mark(spec: Json) -> None:
    body = rolled_out(tracked())
    decision = decided(model(body, pod_of(body)), spec=spec_of(**spec), gateway=gateway_of())
    assert decision.status is not None
    assert decision.status.get("injections") if "mode" in spec else decision.actions
    for text in (written(decision), json.dumps(decision.status)):
        assert TRACKING not in text
        assert INSTANCE not in text


def test_nor_do_a_policy_and_the_gateway() -> None:
    one, verdict = working(tracked())
    gateway = gateway_of()
    gateway["metadata"]["annotations"] = {TRACKING: "aibrix:apps/Deployment:aibrix-system/x"}
    gateway["metadata"]["labels"] = {INSTANCE: "aibrix"}
    decision = look(one, gateway=gateway, verdicts=[verdict])
    kinds = {action.kind for action in decision.actions}
    assert Kind.NETWORK_POLICY in kinds
    assert len(decision.actions) > 1
    assert TRACKING not in written(decision)
    assert INSTANCE not in written(decision)


def test_a_mark_would_be_found() -> None:
    body = configured(tracked())
    assert TRACKING in json.dumps(body)
    assert INSTANCE in json.dumps(_template(body))
