"""Models by the thousand as the operator sees them when all of it works: a world without a network.

Everything that a pass reads is here, in the form that the watches keep it in; what engines, sources and
gateway answer is given. The shell's own world observes, and the core decides.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from core.objects import RELAYS, TEMPLATES, Json, deployment
from core.scenes import EVERY_TOKENIZER, applied, gateway_of, pod_of, rolled_out
from kvsync.adapters.kube.by_namespace import ByNamespace
from kvsync.core.decide import decide
from kvsync.core.gateway_access import parse_grant
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.planned import Ask
from kvsync.model.decision import Decision, Kind
from kvsync.model.gateway_log import GatewayReading, Start, Subscription
from kvsync.model.observed import FINALIZER, EngineAnswers, KVEventSync, Observed
from kvsync.model.record import Owner
from kvsync.model.source import SourceKey, SourceReason, Verdict
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.standing import Standing
from kvsync.model.workload import Deployment
from kvsync.shell.projection import project_pod, project_workload
from kvsync.shell.settings import Settings
from kvsync.shell.standings import Standings
from kvsync.shell.world import Heard, World

Key = tuple[str, str]

GATEWAY = ("aibrix-system", "aibrix-gateway-plugins")
CHANGED_AT, NOW = 9_000, 100_000.0
SETTLES_IN = 6
"""Passes after which nothing is left to be done; it takes three."""
_NAMES = "fleet.example/of"
_HASH = "5d9c7b9f6"


@dataclass
class Fleet:
    """So many objects, each with so many models, each of these with so many pods.

    ``apart``: whether each object has a namespace of its own; else all stand in one.
    """

    objects: int
    models: int
    pods: int
    apart: bool = True
    _deployments: ByNamespace[Json] = field(default_factory=ByNamespace)
    _pods: ByNamespace[Json] = field(default_factory=ByNamespace)
    _answers: dict[str, EngineAnswers] = field(default_factory=dict)
    _verdicts: dict[Key, dict[SourceKey, Verdict]] = field(default_factory=dict)
    _logs: dict[Key, GatewayReading] = field(default_factory=dict)
    _taken: dict[str, Subscription] = field(default_factory=dict)
    """What the gateway says of every pod of every model."""

    def __post_init__(self) -> None:
        grant = parse_grant(f"{'/'.join(GATEWAY)}=*")
        settings = Settings(gateways=(grant,), image=RELAYS.image)
        self.world = World(settings, self._deployments, self._pods)
        self.standings = Standings(lambda _: None, lambda: NOW)
        self._make_gateway()
        for number in range(self.objects):
            self._make_object(number)

    @property
    def keys(self) -> list[Key]:
        """The objects."""
        return list(self.world.syncs)

    @property
    def sources(self) -> int:
        """How many pods publish."""
        return self.objects * self.models * self.pods

    def observe(self, key: Key) -> Observed:
        """What a pass over an object sees, gathered as ``shell.reconcile`` does it."""
        sync = self.world.sync(key)
        assert sync is not None
        spec = KVEventSyncSpec.from_manifest(sync.body["spec"])
        heard = Heard(
            self._answers,
            self._verdicts.get(key, {}),
            {},
            self.standings.others(key),
            self.standings.unheard(key),
            self._logs,
            EVERY_TOKENIZER,
        )
        return self.world.observe(sync, spec, heard, NOW)

    def decide(self, observed: Observed) -> Decision:
        """The decision on it, noted for the others."""
        decision = decide(observed, TEMPLATES)
        sync = observed.sync
        standing = decision.standing or Standing(f"{sync.namespace}/{sync.name}")
        self.standings.note((sync.namespace, sync.name), standing)
        return decision

    def settle(self) -> float:
        """Pass after pass over all objects, until none finds anything to do or to say; the CPU seconds
        of that last one.

        Raises AssertionError where it does not end.
        """
        for _ in range(SETTLES_IN):
            began = time.process_time()
            if not self.whole():
                return time.process_time() - began
        raise AssertionError(f"not settled after {SETTLES_IN} passes over everything")

    def whole(self) -> int:
        """One pass over each object. Returns how many found something to do or to say."""
        return sum(self._settled(key) for key in self.keys)

    def status_of(self, key: Key) -> Json:
        """The status of an object."""
        return dict(self.world.syncs[key]["status"])

    def _settled(self, key: Key) -> bool:
        """One pass, carried out. Returns whether it changed anything."""
        decision = self.decide(self.observe(key))
        for action in decision.actions:
            assert (action.kind, action.namespace, action.name) == (Kind.DEPLOYMENT, *GATEWAY)
            gateway = rolled_out(applied(self._deployments[GATEWAY], action))
            self._deployments.put(GATEWAY, gateway)
        body = self.world.syncs[key]
        status = json.loads(json.dumps(decision.status))
        assert decision.targets.keys() == self._verdicts[key].keys()
        changed = bool(decision.actions) or status != body.get("status")
        self.world.note_object(key, {**body, "status": status})
        return changed

    def _make_gateway(self) -> None:
        body = gateway_of()
        body["metadata"] |= {"uid": "uid-of-gateway", "resourceVersion": "1"}
        self._deployments.put(GATEWAY, body)
        container = body["spec"]["template"]["spec"]["containers"][0]["name"]
        running = {"name": container, "restartCount": 0}
        running["state"] = {"running": {"startedAt": "1970-01-01T00:00:01Z"}}
        (pod,) = _pods_of(body, 1, containerStatuses=[running])
        self._keep(pod)
        reading = GatewayReading(start=Start.INITIALIZED, pods=self._taken)
        self._logs[pod["metadata"]["uid"], container] = reading

    def _make_object(self, number: int) -> None:
        name = f"kv-{number:04}"
        namespace = name if self.apart else "models"
        sync: Json = {
            "metadata": {
                "namespace": namespace,
                "name": name,
                "uid": f"uid-of-{name}",
                "generation": 1,
                "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "finalizers": [FINALIZER],
            },
            "spec": {"models": {"selector": {"matchLabels": {_NAMES: name}}}},
        }
        self.world.note_object((namespace, name), sync)
        owner = KVEventSync(sync).owner
        spec = KVEventSyncSpec.from_manifest(sync["spec"])
        for model in range(self.models):
            body = deployment(name=f"{name}-model-{model:04}")
            body["metadata"] |= {"namespace": namespace, "labels": {_NAMES: name}}
            body["metadata"] |= {"resourceVersion": "1", "generation": 1}
            body["spec"]["replicas"] = self.pods
            self._make_model(body, owner, spec)

    def _make_model(self, body: Json, owner: Owner, spec: KVEventSyncSpec) -> None:
        asked = Ask(spec, owner, TEMPLATES, {}, "", at=CHANGED_AT, relays=RELAYS)
        change = plan(Deployment(body), asked)
        done = rolled_out(dict(apply(body, change.patch)))
        done["status"]["observedGeneration"] = 1
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        self._deployments.put(key, dict(project_workload(done)))
        for pod in _pods_of(done, self.pods):
            self._keep(pod)
            uid, where = pod["metadata"]["uid"], pod["metadata"]
            self._answers[uid] = EngineAnswers("0.16.0", 16)
            self._taken[f"{where['namespace']}/{where['name']}"] = Subscription.TAKEN
            source = SourceKey(where["namespace"], where["name"], uid)
            self._verdicts.setdefault((owner.namespace, owner.name), {})[source] = _idle(source)

    def _keep(self, pod: Json) -> None:
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        self._pods.put(key, dict(project_pod(pod)))
        self.world.pod_changed(key, self._pods[key])


def _pods_of(body: Json, count: int, **status: Any) -> Iterator[Json]:
    name = body["metadata"]["name"]
    for number in range(count):
        pod: Json = dict(pod_of(body, f"{name}-{_HASH}-{number:05}", **status).body)
        pod["metadata"]["uid"] = f"uid-of-{body['metadata']['namespace']}-{name}-{number}"
        pod["metadata"]["labels"]["pod-template-hash"] = _HASH
        owner = {"kind": "ReplicaSet", "name": f"{name}-{_HASH}", "controller": True}
        pod["metadata"]["ownerReferences"] = [owner]
        yield pod


def _idle(key: SourceKey) -> Verdict:
    return Verdict(key, SourceReason.IDLE, verified=True, settled=True, message="up", answers=True)
