"""A cluster of one namespace in memory: Deployments that roll out step by step, sources that answer or not.

It does what the API server, the Deployment controller, the kubelet and the probe do, each one step at
a time, so that a test can choose the order. What the operator forgets in a crash is kept apart from
what the cluster keeps.
"""

import copy
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.admission_rules import admitted, pod_of_template
from core.objects import EVENTS_LABEL, IMAGE, OWNER, RELAYS, TEMPLATES, Json, container, deployment
from core.scenes import (
    EVERY_TOKENIZER,
    applied,
    crashing,
    flag_is_on,
    gateway_of,
    is_configured,
    seen_gateway,
)
from kvsync.core.decide import decide
from kvsync.core.digest import digest
from kvsync.core.moment import timestamp
from kvsync.core.patch import PatchConflictError
from kvsync.core.sidecar.pieces import is_relayed
from kvsync.model.decision import Action, Decision, Kind
from kvsync.model.events import EventLayout
from kvsync.model.observed import (
    EngineAnswers,
    KVEventSync,
    Observed,
    ObservedModel,
)
from kvsync.model.source import SourceKey, SourceReason, Target, Verdict
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment, Pod

GATEWAY = "aibrix-gateway-plugins"
HEALTHY, CRASHES, SILENT, STUCK = "healthy", "crashes", "silent", "stuck"
STRIPPED = "stripped"
FATES = (HEALTHY, CRASHES, SILENT, STUCK, STRIPPED)
"""What becomes of a pod that carries the event configuration."""


@dataclass
class Memory:
    """What the operator knows by having looked, and loses when it dies."""

    targets: dict[SourceKey, Target] = field(default_factory=dict)
    verdicts: dict[SourceKey, Verdict] = field(default_factory=dict)
    answers: dict[str, EngineAnswers] = field(default_factory=dict)
    questions: tuple[str, ...] = ()


class Cluster:
    """Models named after letters (``names``), one gateway, one KVEventSync."""

    def __init__(
        self,
        spec: KVEventSyncSpec,
        fates: Sequence[str],
        image: str = IMAGE,
        layout: EventLayout | None = None,
        names: str = "abcdefghij",
    ) -> None:
        self.spec = spec
        self.layout = layout
        """How engines write events, where that is seen; a relay's are arrays."""
        self.now = 100_000.0
        self.fates = dict(zip(names, fates, strict=False))
        self.memory = Memory()
        self.objects: dict[str, Json] = {GATEWAY: gateway_of()}
        self.pods: dict[str, list[Json]] = {}
        self.changing: set[str] = set()
        """Models that the operator configured and that are neither verified nor restored since."""
        self.proven: set[str] = set()
        """Uids of the pods whose source was found good."""
        self.restarts: Counter[str] = Counter()
        """How often the operator changed the template of each object."""
        self.blind = False
        """Whether no admission policy acts on new pods."""
        self.budget = True
        """Whether pods may be evicted, by their PodDisruptionBudget."""
        self.deselected: set[str] = set()
        """Models that the object means no more."""
        self._serial = 0
        self.sync: Json | None = {
            "metadata": {
                "namespace": OWNER.namespace,
                "name": OWNER.name,
                "uid": OWNER.uid,
                "generation": 1,
            }
        }
        for name in self.fates:
            self.objects[name] = deployment(container(image=image), name=name)
        for name, body in self.objects.items():
            body["metadata"]["generation"] = 1
            self.pods[name] = []
            self._roll_out(name)
        self.originals = copy.deepcopy(self.objects)

    # What users do.

    def edit(self, name: str, change: Callable[[Json], None]) -> None:
        """A user's edit, made to the live object and to what must be left of it in the end."""
        self.disturb(name, change)
        change(self.originals[name])

    def disturb(self, name: str, change: Callable[[Json], None]) -> None:
        """A user's edit of the live object only: of something that the operator wrote."""
        body = copy.deepcopy(self.objects[name])
        change(body)
        self._store(name, body)

    def delete(self) -> None:
        """Delete the KVEventSync; its finalizer holds it back."""
        if self.sync is None or self.deleting:
            return
        if not self.sync["metadata"].get("finalizers"):
            self.sync = None
            return
        metadata = {**self.sync["metadata"], "deletionTimestamp": timestamp(self.now)}
        self.sync = {**self.sync, "metadata": metadata}

    @property
    def deleting(self) -> bool:
        return self.sync is not None and "deletionTimestamp" in self.sync["metadata"]

    # What the operator does.

    def observe(self) -> Observed:
        assert self.sync is not None
        return Observed(
            sync=KVEventSync(self.sync),
            spec=self.spec,
            models=tuple(self._observed(name) for name in self.fates),
            gateway=replace(seen_gateway(self.objects[GATEWAY]), tokenizers=EVERY_TOKENIZER),
            strays=(),
            verdicts=dict(self.memory.verdicts),
            now=self.now,
            relays=RELAYS,
        )

    def _observed(self, name: str) -> ObservedModel:
        pods = tuple(map(Pod, self.pods[name]))
        known = {pod.uid: self.memory.answers.get(pod.uid) for pod in pods}
        answers = {uid: answer for uid, answer in known.items() if answer is not None}
        selected = name not in self.deselected
        return ObservedModel(name, selected, Deployment(self.objects[name]), pods, answers)

    def decide(self, **beyond: Any) -> Decision:
        """What a pass decides; ``beyond``: what it sees of other objects and of the operator."""
        decision = decide(replace(self.observe(), **beyond), TEMPLATES)
        memory = self.memory
        memory.targets = dict(decision.targets)
        memory.verdicts = {k: v for k, v in memory.verdicts.items() if k in memory.targets}
        memory.questions = tuple(question.uid for question in decision.questions)
        return decision

    def apply(self, action: Action) -> bool:
        """Apply an action as the API server does: as a whole or not at all."""
        if action.kind is Kind.SYNC:
            return self._patch_sync(action)
        if action.evicts:
            return self._evict(action)
        before = self.objects[action.name]
        try:
            body = applied(before, action)
        except PatchConflictError:
            return False
        self._store(action.name, body)
        self.restarts[action.name] += body["spec"]["template"] != before["spec"]["template"]
        if action.name != GATEWAY:
            self._count(action.name, before)
        return True

    def _evict(self, action: Action) -> bool:
        if self.budget:
            for name, pods in self.pods.items():
                self.pods[name] = [p for p in pods if p["metadata"]["uid"] != action.evicts]
        return self.budget

    def _count(self, name: str, before: Json) -> None:
        body = self.objects[name]
        if not is_configured(body):
            self.changing.discard(name)
        elif body["spec"]["template"] != before["spec"]["template"] and body["spec"]["replicas"]:
            self.changing.add(name)

    def _patch_sync(self, action: Action) -> bool:
        assert self.sync is not None
        body = applied(self.sync, action)
        gone = self.deleting and not body["metadata"].get("finalizers")
        self.sync = None if gone else body
        return True

    def report(self, decision: Decision) -> bool:
        """Store the status. Returns whether it differs from the last one."""
        if self.sync is None or decision.status is None:
            return False
        status = json.loads(json.dumps(decision.status))
        changed = status != self.sync.get("status")
        self.sync = {**self.sync, "status": status}
        return bool(changed)

    def forget(self) -> None:
        """The operator dies and starts again."""
        self.memory = Memory()

    # What the cluster does by itself.

    def _store(self, name: str, body: Json) -> None:
        metadata = body["metadata"]
        if not metadata.get("annotations"):  # as the API server leaves empty maps out
            metadata.pop("annotations", None)
        if body["spec"] != self.objects[name]["spec"]:
            metadata["generation"] += 1
        self.objects[name] = body

    def progress(self, name: str) -> bool:
        """One step of a Deployment's rollout. Returns whether anything happened."""
        before = (copy.deepcopy(self.pods[name]), self.objects[name].get("status"))
        self._step(name)
        self.objects[name] = {**self.objects[name], "status": self._counts(name)}
        self._settle(name)
        return before != (self.pods[name], self.objects[name]["status"])

    def _step(self, name: str) -> None:
        body = self.objects[name]
        current = [pod for pod in self.pods[name] if self._is_current(name, pod)]
        wanted = Deployment(body).replicas
        seen = (body.get("status") or {}).get("observedGeneration") == body["metadata"][
            "generation"
        ]
        starting = [pod for pod in current if not Pod(pod).ready]
        if seen and starting:
            for pod in starting:
                self._start(name, pod)
        elif seen:
            self.pods[name] = current[:wanted]
        while len([p for p in self.pods[name] if self._is_current(name, p)]) < wanted:
            self.pods[name].append(self._new_pod(name))

    def _roll_out(self, name: str) -> None:
        while self.progress(name):
            pass

    def _is_current(self, name: str, pod: Json) -> bool:
        return bool(pod["template"] == self.objects[name]["spec"]["template"])

    def _new_pod(self, name: str) -> Json:
        self._serial += 1
        template = copy.deepcopy(self.objects[name]["spec"]["template"])
        title = f"{name}-{self._serial}"
        pod = {
            "metadata": {
                "namespace": "default",
                "name": title,
                "uid": f"uid-of-{title}",
                "labels": dict(template["metadata"]["labels"]),
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
            "template": template,
        }
        pod["metadata"] |= self._admit(name, pod)
        if self._fate(name, pod) == STRIPPED:  # by an admission webhook
            pod["metadata"]["labels"].pop(EVENTS_LABEL, None)
        return pod

    def _admit(self, name: str, pod: Json) -> Json:
        """What the policy makes of a pod that asks for its settings (mode Admission)."""
        if "annotations" not in pod["template"]["metadata"]:
            return {}
        asked = pod_of_template(self.objects[name], digest(pod["template"]))
        asked["metadata"]["creationTimestamp"] = timestamp(self.now)
        status = (self.sync or {}).get("status") or {}
        made = asked if self.blind else admitted(asked, status.get("injections", ()))
        pod["spec"] = made["spec"]
        return {key: value for key, value in made["metadata"].items() if key != "generateName"}

    def _start(self, name: str, pod: Json) -> None:
        fate = self._fate(name, pod)
        if fate == STUCK:
            return
        status: Json = {"phase": "Running", "podIP": "10.0.0.1"}
        if fate == CRASHES:
            status["containerStatuses"] = crashing("unrecognized arguments")
        else:
            status["conditions"] = [{"type": "Ready", "status": "True"}]
        pod["status"] = status

    def _fate(self, name: str, pod: Json) -> str:
        labelled = is_configured({"spec": {"template": pod["template"]}})
        return self.fates.get(name, HEALTHY) if labelled else HEALTHY

    def _counts(self, name: str) -> Json:
        pods, body = self.pods[name], self.objects[name]
        return {
            "observedGeneration": body["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": sum(self._is_current(name, pod) for pod in pods),
            "availableReplicas": sum(Pod(pod).ready for pod in pods),
        }

    def probe(self) -> bool:
        """Look at every source and ask every engine that the last pass named."""
        memory, before = self.memory, copy.copy(self.memory.verdicts)
        asked = len(memory.answers)
        for name in self.fates:
            for pod in self.pods[name]:
                self._probe(name, pod)
        for uid in memory.questions:
            memory.answers.setdefault(uid, EngineAnswers(None if self.layout else "0.16.0", 16))
        return before != memory.verdicts or asked != len(memory.answers)

    def _probe(self, name: str, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        for key in self.memory.targets:
            if key.uid != uid:
                continue
            if self._fate(name, pod) == HEALTHY:
                self.memory.verdicts[key] = replace(_verdict(key), layout=self._seen(pod))
                self.proven.add(uid)
            else:
                closed = replace(
                    _verdict(key), reason=SourceReason.PORT_CLOSED, verified=False, answers=False
                )
                self.memory.verdicts[key] = closed
        self._settle(name)

    def _seen(self, pod: Json) -> EventLayout | None:
        relayed = self.layout is not None and is_relayed(Pod(pod))
        return EventLayout.ARRAY if relayed else self.layout

    def _settle(self, name: str) -> None:
        """A model is through when it is restored, or configured and proven."""
        if not Deployment(self.objects[name]).rollout.complete:
            return
        if not is_configured(self.objects[name]) or self.is_proven(name):
            self.changing.discard(name)

    def is_proven(self, name: str) -> bool:
        """Whether a model is configured and rolled out, and each of its pods was heard."""
        body = self.objects[name]
        heard = all(pod["metadata"]["uid"] in self.proven for pod in self.pods[name])
        return is_configured(body) and Deployment(body).rollout.complete and heard

    # What a test asks.

    @property
    def rolling(self) -> set[str]:
        """Models whose pods are being replaced, by whomever."""
        return {n for n in self.fates if not Deployment(self.objects[n]).rollout.complete}

    @property
    def flag(self) -> bool:
        return flag_is_on(self.objects[GATEWAY])

    def left_over(self) -> dict[str, Any]:
        """What differs from the originals with the users' edits, by object."""
        return {
            name: body
            for name, body in self.objects.items()
            if _owned_by_users(body) != _owned_by_users(self.originals[name])
        }


def _verdict(key: SourceKey) -> Verdict:
    return Verdict(key, SourceReason.IDLE, verified=True, settled=True, message="up", answers=True)


def _owned_by_users(body: Json) -> Json:
    """An object without its counters, and without the lists that are there and empty."""
    metadata = {k: v for k, v in body["metadata"].items() if k != "generation"}
    template = copy.deepcopy(body["spec"]["template"])
    for item in template["spec"]["containers"]:
        for key in ("args", "env", "ports"):
            if not item.get(key):
                item.pop(key, None)
    return {"metadata": metadata, "spec": {**body["spec"], "template": template}}
