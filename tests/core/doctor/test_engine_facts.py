"""What one look tells of an engine: where its version is from, which ports are declared, who is labelled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.looks import two_pods
from core.objects import EVENTS_LABEL, ask
from core.scenes import sync_of
from kvsync.core.doctor.engine_facts import conditions_of, engine_facts
from kvsync.core.doctor.facts import EngineFacts
from kvsync.core.plan import plan
from kvsync.model.observed import EngineAnswers, ObservedModel
from kvsync.model.workload import Pod


def told(model: ObservedModel, *pods: Pod) -> EngineFacts:
    assert model.deployment is not None
    (part,) = plan(model.deployment, ask()).parts
    return engine_facts(part, list(pods), model)


def changed(pod: Pod, **labels: str) -> Pod:
    metadata: dict[str, Any] = {**pod.body["metadata"], "labels": labels}
    return replace(pod, body={**pod.body, "metadata": metadata})


def test_a_configured_model_declares_its_ports_and_carries_its_labels() -> None:
    model, a, b = two_pods()
    facts = told(model, a, b)
    assert facts.kind == "VLLM"
    assert facts.version_source == "ImageTag"
    assert facts.dialect == "ConfigJSON"
    assert (facts.ports, facts.undeclared) == ((5557, 5558), ())
    assert (facts.labelled, facts.unlabelled, facts.pods) == (2, (), 2)
    assert facts.buffer_steps == 10000


def test_a_pod_without_the_label_or_the_ports_is_told() -> None:
    model, a, b = two_pods()
    bare = changed(a, app="x")
    facts = told(model, bare, b)
    assert (facts.labelled, facts.unlabelled) == (1, (a.name,))
    assert EVENTS_LABEL not in bare.labels
    (container,) = b.body["spec"]["containers"]
    closed = {**container, "ports": [{"containerPort": 5557}]}
    facts = told(model, a, replace(b, body={**b.body, "spec": {"containers": [closed]}}))
    assert facts.undeclared == (5558,)


def test_without_pods_nothing_is_undeclared() -> None:
    model, *_ = two_pods()
    assert told(model).undeclared == ()


def test_a_version_that_only_the_engine_tells_is_taken_from_it() -> None:
    model, a, b = two_pods()
    assert model.deployment is not None
    (part,) = plan(model.deployment, ask()).parts
    unknown = replace(part, engine=replace(part.engine, version=None))
    answering = replace(model, answers={a.uid: EngineAnswers("0.16.0")})
    facts = engine_facts(unknown, [a, b], answering)
    assert (facts.version, facts.version_source) == ("0.16.0", "RunningEngine")


def test_conditions_say_whether_they_speak_of_the_spec_as_it_is() -> None:
    listed = [
        {"type": "Ready", "status": "True", "reason": "A", "message": "b", "observedGeneration": 3},
        {
            "type": "Stalled",
            "status": "False",
            "reason": "C",
            "message": "",
            "observedGeneration": 2,
        },
    ]
    found = conditions_of(sync_of(status={"conditions": listed}))
    assert found == {"Ready": ("True", "A", "b", True), "Stalled": ("False", "C", "", False)}
    assert conditions_of(sync_of()) == {}
