"""An installation in which all is good, and one change at a time to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kvsync.core.doctor.examine import examine
from kvsync.core.doctor.facts import (
    AdmissionFacts,
    Answered,
    CrdFacts,
    EngineFacts,
    Facts,
    GatewayFacts,
    LeaseFacts,
    ObjectFacts,
    ObjectsFacts,
    OperatorFacts,
    ReachFacts,
    RightsFacts,
    Stand,
    Stream,
)
from kvsync.core.doctor.finding import Finding
from kvsync.core.rights import RIGHTS, Place, Spot, grants
from kvsync.model.source import Observation, SourceKey, SourceReason, Target, Traffic, Verdict
from kvsync.model.tokenizer import TokenizerAnswer
from kvsync.model.verification import ModelFinding, ObjectFinding, SourceFinding
from kvsync.model.version import Version
from kvsync.model.workload import Deployment, Pod

KEY = SourceKey("team", "m-1", "uid-1", 0)
HOME = "kvsync-system"
SPOTS = {
    Place.SERVED: [Spot("")],
    Place.GATEWAYS: [Spot("aibrix-system", "gw")],
    Place.OWN: [Spot(HOME, "kvsync-operator")],
    Place.CLUSTER: [Spot("")],
}
TOLD = {
    "AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED": "true",
    "AIBRIX_PREFIX_CACHE_USE_REMOTE_TOKENIZER": "true",
    "AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE": "remote",
    "AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT": "http://m.team:8000",
    "AIBRIX_PREFIX_CACHE_BLOCK_SIZE": "64",
}


def deployment(
    namespace: str,
    name: str,
    image: str,
    *,
    container: str = "operator",
    replicas: int = 1,
    available: int | None = None,
    env: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Deployment:
    up = replicas if available is None else available
    body = {"name": container, "image": image, "args": ["run"]}
    variables = [{"name": key, "value": value} for key, value in (env or {}).items()]
    return Deployment(
        {
            "metadata": {"namespace": namespace, "name": name, "annotations": annotations or {}},
            "spec": {
                "replicas": replicas,
                "template": {"spec": {"containers": [body | {"env": variables}]}},
            },
            "status": {"updatedReplicas": up, "availableReplicas": up, "replicas": replicas},
        }
    )


def pod(
    name: str = "kvsync-operator-abc-1", *, image: str = "kvsync-operator:0.1.0", **status: Any
) -> Pod:
    state = {
        "phase": "Running",
        "podIP": "10.0.0.9",
        "conditions": [{"type": "Ready", "status": "True"}],
        **status,
    }
    owner = {"kind": "ReplicaSet", "name": "kvsync-operator-abc", "controller": True}
    return Pod(
        {
            "metadata": {
                "namespace": HOME,
                "name": name,
                "uid": name,
                "labels": {"pod-template-hash": "abc"},
                "ownerReferences": [owner],
            },
            "spec": {"containers": [{"name": "operator", "image": image}]},
            "status": state,
        }
    )


def source(reason: SourceReason = SourceReason.PUBLISHING, **seen: Any) -> SourceFinding:
    observation = Observation(since=0.0, handshake_at=1.0, messages=10, octets=5000, rate=20.0)
    return SourceFinding(
        "m",
        Verdict(KEY, reason, verified=True, settled=True, message="so it is.", remedy="Do it."),
        Target(KEY, "10.0.0.1", 5557, 5558, ""),
        replace(observation, **seen),
    )


def with_sources(*sources: SourceFinding, **more: Any) -> ObjectFacts:
    model = ModelFinding("m", "Verified", "All.", False, len(sources), sources)
    engine = EngineFacts(
        "VLLM", "0.16.0", "ImageTag", "ConfigJSON", 10000, (5557, 5558), labelled=1, pods=1
    )
    facts = ObjectFacts(
        ObjectFinding("team", "kv", (model,)),
        {"Ready": ("True", "Synchronized", "All is well.", True)},
        engines={"m": (engine,)},
        traffic={KEY: Traffic(0.0, prefix_caching=True)},
        streams={KEY: Stream(10, 5000, 20.0)},
    )
    return replace(facts, **more)


def objects(*each: ObjectFacts) -> tuple[ObjectsFacts, ...]:
    return (ObjectsFacts("the cluster", each),)


def gateway(found: Deployment | None = None, **more: Any) -> GatewayFacts:
    there = found or deployment(
        "aibrix-system",
        "gw",
        "aibrix/gateway-plugins:v0.7.0",
        container="gateway-plugin",
        env=TOLD,
        annotations={"kvsync.aibrix.ai/owners": "team/kv"},
    )
    facts = GatewayFacts(
        "aibrix-system",
        "gw",
        "gateway-plugin",
        there,
        ("team/kv",),
        ReachFacts("Redis r.aibrix-system.svc:6379"),
        ("http://m.team:8000", TokenizerAnswer(200)),
    )
    return replace(facts, **more)


def healthy(**changes: Any) -> Facts:
    """All is good, but for what is changed."""
    answers = tuple(Answered(r, grant, True) for r in RIGHTS for grant in grants(r, SPOTS))
    operator = deployment(HOME, "kvsync-operator", "kvsync-operator:0.1.0", replicas=2)
    facts = Facts(
        stand=Stand("https://api", inside=True, release=Version(0, 1, 0), user="someone"),
        server=Version(1, 33),
        crd=CrdFacts(135, ()),
        rights=RightsFacts(f"{HOME}/kvsync-operator", True, answers),
        operator=OperatorFacts((operator,), (pod(), pod("kvsync-operator-abc-2"))),
        lease=LeaseFacts(f"{HOME}/kvsync-operator", "kvsync-operator-abc-1", 10.0, 2.0, 0.0),
        gateways=(gateway(),),
        objects=objects(with_sources(source())),
        admission=AdmissionFacts("v1", ("inject",), ("inject",), True, ("team/kv",)),
    )
    return replace(facts, **changes)


def found(facts: Facts, check: str) -> list[Finding]:
    return [each for each in examine(facts).findings if each.check == check]
