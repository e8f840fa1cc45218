"""Several KVEventSyncs before one gateway, and an operator that is never further than one write.

A state is a whole: what the cluster keeps, what the operator knows, and what each of its passes has
decided and not written yet. A move is the least that can happen by itself, so that between any two
writes of a pass every other move has its turn: another pass, a pod, a user, the operator's death.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

from core.cluster import GATEWAY, HEALTHY, Cluster, Memory
from core.objects import RELAYS, TEMPLATES, Json
from core.scenes import EVERY_TOKENIZER, seen_gateway
from kvsync.core.decide import decide
from kvsync.core.gateway_access import parse_grant
from kvsync.core.moment import timestamp
from kvsync.model.admission import AdmissionMeans
from kvsync.model.decision import Action, Decision
from kvsync.model.observed import KVEventSync
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.standing import Standing
from kvsync.model.workload import Pod
from kvsync.shell.settings import Settings
from kvsync.shell.world import Heard, World

SPACE = "default"
GATEWAY_SPACE = "aibrix-system"
OPEN = parse_grant(f"{GATEWAY_SPACE}/{GATEWAY}={SPACE}")
PASS, WRITE, PROBE, PROGRESS, CRASH = "pass", "write", "probe", "progress", "crash"
DELETE, EDIT, WAIT = "delete", "edit", "wait"

MOST_DECISIONS = 20_000
"""That are remembered: some 10 KB each."""

Move = tuple[str, str]
"""What happens, and to which object."""
Report = Mapping[str, Any]
"""A status that is to be written."""


@dataclass(frozen=True)
class Scenario:
    """What there is in the beginning, and what its users may do at any moment."""

    syncs: Mapping[str, tuple[str, ...]]
    """The models that each object selects."""
    cap: int = 1
    """How many models of all objects together may be on their way."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of each object's spec."""
    fates: Mapping[str, str] = field(default_factory=dict)
    """What becomes of a configured model's pods; where none is named all goes well."""
    deleted: tuple[str, ...] = ()
    """Objects that a user may delete."""
    edited: tuple[str, ...] = ()
    """Models that their owner may edit, once."""
    crashes: bool = True

    @cached_property
    def models(self) -> tuple[str, ...]:
        """All models, by name."""
        return tuple(sorted({name for names in self.syncs.values() for name in names}))

    @cached_property
    def manifests(self) -> dict[str, Json]:
        """The spec of each object."""
        endpoint = {"remoteTokenizer": {"endpoint": "http://tokenizer.default:8000"}}
        common = {"gateway": endpoint, "rollout": {"maxConcurrent": 1}, **self.fields}
        return {name: {"models": {"names": [*m]}, **common} for name, m in self.syncs.items()}

    @cached_property
    def specs(self) -> dict[str, KVEventSyncSpec]:
        """The same, as read."""
        return {name: KVEventSyncSpec.from_manifest(m) for name, m in self.manifests.items()}


class Community(Cluster):
    """One state, and what follows from it by a move."""

    def __init__(self, scenario: Scenario) -> None:
        names = sorted(scenario.syncs)
        fates = [scenario.fates.get(name, HEALTHY) for name in scenario.models]
        assert scenario.models == tuple("abcdefghij"[: len(fates)]), "as the cluster names them"
        self.serials: Counter[str] = Counter()
        self.taken_back: set[str] = set()
        """Models that were taken back and have not rolled out since."""
        super().__init__(scenario.specs[names[0]], fates)
        self.scenario = scenario
        self.sync = None
        self.syncs: dict[str, Json | None] = {n: made(n, scenario.manifests[n]) for n in names}
        self.memories = {name: Memory() for name in names}
        self.standings: dict[str, Standing] = {}
        self.unheard = frozenset(names)
        self.decided: dict[str, tuple[Action | Report, ...]] = dict.fromkeys(names, ())
        """What is left to be written of each pass."""
        self.edits: frozenset[str] = frozenset()
        self._decisions: dict[bytes, Decision] = {}
        self.last: Decision | None = None
        """What the move that led here decided, for who asks at once; no part of the state."""

    # Moves.

    def moves(self) -> Iterator[Move]:
        """All that can happen now. Time passes only when nothing else does (``search``)."""
        for name in self.scenario.syncs:
            yield from self._moves_of_operator(name)
        for name in self.objects:
            yield PROGRESS, name
        if self.scenario.crashes:
            yield CRASH, ""
        yield from self._moves_of_users()

    def _moves_of_operator(self, name: str) -> Iterator[Move]:
        if self.decided[name]:
            yield WRITE, name
        elif self.syncs[name] is not None or name in self.standings or name in self.unheard:
            yield PASS, name
        if self.memories[name].targets or self.memories[name].questions:
            yield PROBE, name

    def _moves_of_users(self) -> Iterator[Move]:
        for name in self.scenario.deleted:
            body = self.syncs[name]
            if body is not None and not is_deleted(body):
                yield DELETE, name
        for name in self.scenario.edited:
            if name not in self.edits:
                yield EDIT, name

    def after(self, move: Move) -> Community:
        """The state that a move leads to; this one stays as it is."""
        then, (kind, name) = self._fork(), move
        match kind:
            case "pass":
                then._pass(name)
            case "write":
                then._write(name)
            case "probe":
                then.memory = then.memories[name] = _copied(then.memories[name])
                then.probe()
            case "progress":
                then.sync = _all_injections(then.syncs)
                then.pods[name] = [dict(pod) for pod in then.pods[name]]
                then.progress(name)
            case "crash":
                then._die()
            case "delete":
                then._delete(name)
            case "edit":
                then._edit(name)
            case "wait":
                then.now += self.next_look or 0
        return then

    def _fork(self) -> Community:
        then = copy.copy(self)
        then.objects, then.pods, then.syncs = {**self.objects}, {**self.pods}, {**self.syncs}
        then.memories, then.standings = {**self.memories}, {**self.standings}
        then.decided = {**self.decided}
        then.changing, then.proven = {*self.changing}, {*self.proven}
        then.taken_back = {*self.taken_back}
        then.restarts, then.serials = Counter(self.restarts), Counter(self.serials)
        then.last = None
        return then

    def _pass(self, name: str) -> None:
        """As the shell does: the decision and the standing at once, the writes one by one."""
        self.unheard -= {name}
        if self.syncs[name] is None:
            self._forget(name)
        else:
            self._take_up(name, self.decision(name))

    def _forget(self, name: str) -> None:
        self.standings.pop(name, None)
        self.memories[name] = Memory()

    def _take_up(self, name: str, decision: Decision) -> None:
        self.last = decision
        self.standings[name] = decision.standing or Standing(f"{SPACE}/{name}")
        memory = _copied(self.memories[name])
        memory.targets = dict(decision.targets)
        memory.verdicts = {k: v for k, v in memory.verdicts.items() if k in memory.targets}
        memory.questions = tuple(question.uid for question in decision.questions)
        self.memories[name] = memory
        if not decision.actions:
            self._report(name, decision.status)
            return
        # What is counted must not be forgotten: it is written before it is done.
        counts = any(action.counted for action in decision.actions)
        first = (decision.status,) if counts and decision.status is not None else ()
        self.decided[name] = (*first, *decision.actions)

    def decision(self, name: str) -> Decision:
        """What a pass over an object decides now. What it sees is decided on once in all states."""
        seen = self._sight(name)
        found = self._decisions.get(seen)
        if found is None:
            if len(self._decisions) > MOST_DECISIONS:
                self._decisions.clear()
            found = self._decisions[seen] = self._decide(name)
        return found

    def without_memory(self) -> Community:
        """The same state, which takes no decision for another one's."""
        then = copy.copy(self)
        then._decisions = {}
        return then

    def _sight(self, name: str) -> bytes:
        """Tells apart what a pass sees: its object's models and whatever it has of the others."""
        models = (*self.scenario.syncs[name], GATEWAY)
        pods = {pod["metadata"]["uid"] for model in models for pod in self.pods[model]}
        answers = {uid for memory in self.memories.values() for uid in memory.answers} & pods
        others = [self.bearing(other, name) for other in sorted(self.syncs) if other != name]
        parts: list[object] = [
            name,
            self.now,
            digest_of(self.syncs[name]),
            [digest_of(self.objects[model]) for model in models],
            [[digest_of(pod) for pod in self.pods[model]] for model in models if model != GATEWAY],
            sorted(map(repr, self.memories[name].verdicts.items())),
            sorted(answers),
            others,
        ]
        return blake2b(repr(parts).encode(), digest_size=16).digest()

    def bearing(self, other: str, name: str) -> tuple[object, ...]:
        """All that a pass over one object sees of another.

        Of its claims nothing where they select no model in common. Of its standing what the shell alone
        asks for (``awaits_pods``, ``awaits_all``) is left out, and the age of one that does not wait.
        """
        body, standing = self.syncs[other], self.standings.get(other)
        selected = self.scenario.syncs
        rivals = not {*selected[other]}.isdisjoint(selected[name])
        claims = None if body is None else digest_of(body["metadata"]) if rivals else other
        if standing is not None:
            at = standing.last_change if standing.waiting else 0
            standing = replace(standing, awaits_pods=False, awaits_all=False, last_change=at)
        return claims, standing, other in self.unheard

    def _decide(self, name: str) -> Decision:
        body = self.syncs[name]
        assert body is not None
        sync, spec = KVEventSync(body), self.scenario.specs[name]
        gateway = seen_gateway(self.objects[GATEWAY])
        logs = {(uid, spec.gateway.container): log for uid, log in gateway.readings.items()}
        heard = Heard(
            answers={u: a for memory in self.memories.values() for u, a in memory.answers.items()},
            verdicts=self.memories[name].verdicts,
            kinds={},
            others=tuple(s for other, s in sorted(self.standings.items()) if other != name),
            unheard=tuple(f"{SPACE}/{n}" for n in sorted(self.unheard - {name})),
            logs=logs,
            tokenizers=EVERY_TOKENIZER,
        )
        return decide(_Seen(self, gateway.pods).observe(sync, spec, heard, self.now), TEMPLATES)

    def _write(self, name: str) -> None:
        item, *rest = self.decided[name]
        self.decided[name] = tuple(rest)
        if not isinstance(item, Action):
            self._report(name, item)
        elif not self._carry_out(name, item):
            self.decided[name] = ()  # refused: the pass ends, the next one sees why

    def _carry_out(self, name: str, action: Action) -> bool:
        if action.name not in self.objects:
            self.sync = self.syncs[name]
            fits = self.sync is not None and self.apply(action)
            self.syncs[name] = self.sync
            return fits
        before, rolling = self.objects[action.name], self.rolling
        fits = self.apply(action)
        if fits and action.restarts and action.name != GATEWAY and action.name not in self.changing:
            # One that its owner has roll anyway takes no place by being taken back.
            self.taken_back |= {action.name} - rolling
        if before["spec"] != self.objects[action.name]["spec"]:
            self._settle(action.name)
        return fits

    def _settle(self, name: str) -> None:
        super()._settle(name)
        if name not in self.rolling:
            self.taken_back.discard(name)

    def _report(self, name: str, status: Report | None) -> None:
        body = self.syncs[name]
        if body is None or status is None:
            return
        stored = json.loads(json.dumps(status))
        if stored != body.get("status"):
            self.syncs[name] = {**body, "status": stored}

    def _die(self) -> None:
        """The operator dies and starts again: it has listed what exists, and nothing else."""
        self.memories = {name: Memory() for name in self.memories}
        self.standings = {}
        self.unheard = frozenset(name for name, body in self.syncs.items() if body is not None)
        self.decided = dict.fromkeys(self.decided, ())

    def _delete(self, name: str) -> None:
        self.sync = self.syncs[name]
        self.delete()
        self.syncs[name] = self.sync

    def _edit(self, name: str) -> None:
        self.originals = copy.deepcopy(self.originals)
        self.edits |= {name}
        self.edit(name, _add_variable)
        self._settle(name)

    def _new_pod(self, name: str) -> Json:
        # Numbers by model: what others did before is no part of a pod's name.
        self.serials[name] += 1
        self._serial = self.serials[name]
        return super()._new_pod(name)

    # What it is.

    @property
    def digest(self) -> bytes:
        """Tells states apart: two of the same digest have the same future."""
        live = {pod["metadata"]["uid"] for pods in self.pods.values() for pod in pods}
        parts: list[object] = [
            self.now,
            [(n, digest_of(b)) for n, b in sorted(self.objects.items())],
            [(n, [digest_of(p) for p in pods]) for n, pods in sorted(self.pods.items())],
            [(n, digest_of(b)) for n, b in sorted(self.syncs.items())],
            [(n, memory_parts(m, live)) for n, m in sorted(self.memories.items())],
            sorted(self.standings.items()),
            sorted(self.unheard),
            [(n, [digest_of(item) for item in d]) for n, d in sorted(self.decided.items())],
            sorted(self.changing),
            sorted(self.taken_back),
            sorted(self.proven & live),
            sorted((+self.restarts).items()),
            sorted(self.edits),
        ]
        return blake2b(repr(parts).encode(), digest_size=16).digest()

    @property
    def next_look(self) -> float | None:
        """Seconds until time alone has an object looked at again; None: never."""
        looks = (self.decision(n).look_again for n, body in self.syncs.items() if body is not None)
        return min((look for look in looks if look is not None), default=None)


class _Seen(World):
    """What the operator's own view makes of a state; pods are found by model without an index."""

    def __init__(self, community: Community, gateway_pods: tuple[Pod, ...]) -> None:
        settings = Settings(gateways=(OPEN,), max_rolling=community.scenario.cap)
        spaces = {n: GATEWAY_SPACE if n == GATEWAY else SPACE for n in community.objects}
        super().__init__(settings, {(spaces[n], n): b for n, b in community.objects.items()}, {})
        self.relays, self.admission = RELAYS, AdmissionMeans(policy=True, served=True)
        self.syncs.update({(SPACE, n): b for n, b in community.syncs.items() if b is not None})
        self._found = {n: tuple(map(Pod, pods)) for n, pods in community.pods.items()}
        self._found[GATEWAY] = gateway_pods

    def pods(self, namespace: str, model: str) -> tuple[Pod, ...]:
        return self._found.get(model, ())


def made(name: str, manifest: Json) -> Json:
    """An object as its user makes it."""
    metadata = {
        "namespace": SPACE,
        "name": name,
        "uid": f"uid-of-{name}",
        "generation": 1,
        "creationTimestamp": timestamp(1_000.0),
    }
    return {"metadata": metadata, "spec": manifest}


def is_deleted(body: Json) -> bool:
    """Whether its user deleted it."""
    return "deletionTimestamp" in body["metadata"]


def _add_variable(body: Json) -> None:
    engine = body["spec"]["template"]["spec"]["containers"][0]
    engine["env"] = [*engine.get("env", ()), {"name": "OF_THE_USER", "value": "1"}]


def settings_for_pods(scenario: Scenario) -> bool:
    """Whether pods get what objects have published (mode Admission)."""
    return scenario.fields.get("mode") == "Admission"


def _all_injections(syncs: Mapping[str, Json | None]) -> Json:
    """The policy acts for each object on the pods that ask for what it has published."""
    found = [(body.get("status") or {}).get("injections", ()) for body in syncs.values() if body]
    return {"status": {"injections": [entry for entries in found for entry in entries]}}


def _copied(memory: Memory) -> Memory:
    return Memory({**memory.targets}, {**memory.verdicts}, {**memory.answers}, memory.questions)


def memory_parts(memory: Memory, live: set[str]) -> list[object]:
    """What the operator knows by having looked, without what it asked pods that are gone."""
    return [
        sorted(map(repr, memory.targets.items())),
        sorted(map(repr, memory.verdicts.items())),
        sorted(set(memory.answers) & live),
        memory.questions,
    ]


_KNOWN: dict[int, tuple[object, bytes]] = {}
"""Digests by identity: states share most of what they are made of, and nothing is changed in place."""


def digest_of(part: Any) -> bytes:
    """Tells parts of states apart by their content."""
    known = _KNOWN.get(id(part))
    if known is not None:
        return known[1]
    text = repr(part) if isinstance(part, Action) else json.dumps(part, sort_keys=True)
    found = blake2b(text.encode(), digest_size=16).digest()
    if len(_KNOWN) > 100_000:
        _KNOWN.clear()
    _KNOWN[id(part)] = (part, found)
    return found
