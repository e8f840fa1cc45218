"""The last known state of everything watched, and what one object's pass sees of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kvsync.adapters.kube.answer import version_of
from kvsync.adapters.kube.by_namespace import ByNamespace
from kvsync.core.gateway import owners_of
from kvsync.core.pod_labels import MARK
from kvsync.core.told import is_only_said
from kvsync.core.turns import announced
from kvsync.model.decision import Kind
from kvsync.model.gateway_log import GatewayReading
from kvsync.model.observed import (
    EngineAnswers,
    KVEventSync,
    LastWords,
    Observed,
    ObservedGateway,
    ObservedModel,
)
from kvsync.model.relay import RelayMeans
from kvsync.model.source import SourceKey, Verdict
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.standing import Standing
from kvsync.model.storm import StormService, model_of, storm_of
from kvsync.model.tokenizer import TokenizerAnswer
from kvsync.model.workload import Deployment, Pod
from kvsync.shell.claims import Claims
from kvsync.shell.gateways import Gateways, Held, LabelOf, no_labels
from kvsync.shell.policies import Policies
from kvsync.shell.roster import Roster
from kvsync.shell.settings import Settings
from kvsync.shell.traits import Trait
from kvsync.shell.views import Views
from kvsync.shell.workload_index import WorkloadIndex

Key = tuple[str, str]
Json = Mapping[str, Any]
Objects = Mapping[Key, Json]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was found out by asking: engines by pod uid, sources, names that are no workload; and what
    the passes over the other objects found (``shell.standings``)."""

    answers: Mapping[str, EngineAnswers]
    verdicts: Mapping[SourceKey, Verdict]
    kinds: Mapping[Key, str]
    others: tuple[Standing, ...] = ()
    unheard: tuple[str, ...] = ()
    logs: Mapping[tuple[str, str], GatewayReading] = field(default_factory=dict)
    """What gateways' logs say, by pod uid and container."""
    tokenizers: Mapping[str, TokenizerAnswer] = field(default_factory=dict)
    last_words: Mapping[str, LastWords] | None = None


class World:
    """Objects by (namespace, name). What we wrote ourselves is seen at once, before its watch tells.

    A model is named as in the status: a Deployment by its name, a StormService by
    ``StormService.model``.
    """

    def __init__(
        self,
        settings: Settings,
        deployments: Objects,
        pods: Objects,
        storms: Objects | None = None,
        storm_pods: Objects | None = None,
        label_of: LabelOf = no_labels,
        policies: Policies | None = None,
    ) -> None:
        self._deployments = deployments
        self._storms = storms = ByNamespace() if storms is None else storms
        self._pods = (pods, {} if storm_pods is None else storm_pods)
        self._written: dict[tuple[str, Key], Json] = {}
        self._pods_of: dict[Key, set[Key]] = {}
        self._maker_of: dict[Key, str] = {}
        self._relabelled: dict[Key, Json] = {}
        self._labelled_by: dict[Key, str] = {}
        self._labelled_of: dict[tuple[str, str], set[Key]] = {}
        self._served = settings.namespaces
        self._max_rolling = settings.max_rolling
        self.relays = RelayMeans(settings.image, others=settings.relay_images)
        self.admission = settings.admission
        self.syncs = Roster()
        self._listed: ByNamespace[str] = ByNamespace()
        self._index = WorkloadIndex(
            {
                Kind.DEPLOYMENT: (deployments, self.deployment),
                Kind.STORM_SERVICE: (storms, self.storm),
            }
        )
        self._views = Views()
        self._said: dict[Key, int] = {}
        self.newest_object = 0
        """The highest resource version of a KVEventSync that was told of or written."""
        self._gateways = Gateways(settings.access, label_of, deployments, self.deployment)
        self._claims = Claims(self.syncs, self.sync)
        self.policies = policies
        """None where no NetworkPolicies are kept."""

    def note_listed(self, body: Json) -> None:
        """Remember that an object exists, whether or not its watch has told of it yet."""
        metadata = body["metadata"]
        self._note_version(body)
        self._listed.put((metadata["namespace"], metadata["name"]), str(metadata["uid"]))

    def known_objects(self) -> frozenset[Key]:
        """The objects that exist as far as is known, those included that only a list told of."""
        return frozenset({*self.syncs, *self._listed})

    def is_news(self, key: Key, body: Json) -> bool:
        """Whether a list shows an object newer than its watch told of it."""
        told = self.syncs.get(key)
        return told is None or version_of(body) > version_of(told)

    def note_written(self, kind: str, body: Json) -> None:
        """Remember an object as the API server returned it from our own write."""
        metadata = body["metadata"]
        if kind == Kind.NETWORK_POLICY:
            assert self.policies is not None  # else none is written
            self.policies.note_written(body)
            return
        if kind == Kind.SYNC:
            self._note_version(body)
        key = (metadata["namespace"], metadata["name"])
        if not self._is_watched(kind, key):
            return  # its deletion was told before the answer to our write: nobody would forget it again
        if kind == Kind.POD:
            self._relabelled[key] = metadata
            return
        self._written[kind, key] = body
        if kind == Kind.SYNC:
            self._claims.note(key)
        else:
            self._index.note(Kind(kind), key)

    def _is_watched(self, kind: str, key: Key) -> bool:
        stores: Mapping[str, tuple[Mapping[Key, Any], ...]] = {
            Kind.POD: self._pods,
            Kind.SYNC: (self.syncs,),
            Kind.DEPLOYMENT: (self._deployments,),
            Kind.STORM_SERVICE: (self._storms,),
        }
        return any(key in store for store in stores[kind])

    def _note_version(self, body: Json) -> None:
        self.newest_object = max(self.newest_object, version_of(body))

    def note_said(self, before: KVEventSync) -> None:
        """Remember, once a status was written, whether it only says what the pass over the object as it
        was ``before`` came to: then the news of it is none."""
        after = self.sync((before.namespace, before.name))
        if after is not None and is_only_said(before, after):
            self._said[before.namespace, before.name] = version_of(after.body)

    def is_said(self, key: Key, body: Json) -> bool:
        """Whether an object is as our own last status left it, which only said what it had come to."""
        return self._said.get(key) == version_of(body) != 0

    def note_standing(self, kind: str, body: Json) -> None:
        """Remember a Deployment or StormService as a list shows it, where its watch is behind."""
        metadata = body["metadata"]
        store = self._storms if kind == Kind.STORM_SERVICE else self._deployments
        watched = store.get((metadata["namespace"], metadata["name"]))
        if watched is not None and version_of(body) > version_of(watched):
            self.note_written(kind, body)

    def maker_of(self, key: Key) -> str:
        """The model that a pod is known to be one of; empty for any other."""
        return self._maker_of.get(key, "")

    def pod_changed(self, key: Key, pod: Json | None) -> str:
        """Keep the index of pods by model. Returns the model's name, or an empty string."""
        self._relabelled.pop(key, None)
        self._note_mark(key, pod)
        # One that left the watch of one kind may still be in the other's.
        pod = pod or next((store[key] for store in self._pods if key in store), None)
        before, name = self._maker_of.pop(key, ""), model_of(Pod(pod)) if pod else ""
        siblings = self._pods_of.get((key[0], before), set())
        siblings.discard(key)
        if not siblings:
            self._pods_of.pop((key[0], before), None)
        if name:
            self._maker_of[key] = name
            self._pods_of.setdefault((key[0], name), set()).add(key)
        return name or before

    def _note_mark(self, key: Key, pod: Json | None) -> None:
        mark = (pod["metadata"].get("labels") or {}).get(MARK) if pod else None
        before = self._labelled_by.pop(key, "")
        if before:
            labelled = self._labelled_of[key[0], before]
            labelled.discard(key)
            if not labelled:
                del self._labelled_of[key[0], before]
        if mark:
            self._labelled_by[key] = str(mark)
            self._labelled_of.setdefault((key[0], str(mark)), set()).add(key)

    def workload_gone(self, namespace: str, model: str) -> None:
        """Forget what belongs to a deleted Deployment or StormService."""
        storm = storm_of(model)
        kind = Kind.STORM_SERVICE if storm else Kind.DEPLOYMENT
        self._written.pop((kind, (namespace, storm or model)), None)
        self._pods_of.pop((namespace, model), None)

    def sync(self, key: Key) -> KVEventSync | None:
        """The object of that key, or None when it is gone."""
        body = self._freshest(Kind.SYNC, key, self.syncs.get(key))
        return KVEventSync(body) if body is not None else None

    def note_object(self, key: Key, body: Json) -> bool:
        """Keep an object as its watch tells. Returns whether its claims to models may have changed:
        then the others of its namespace are concerned."""
        before = self.syncs.get(key)
        if before is not None and _is_older(body, before):
            return False  # a list showed a newer one
        self.syncs[key] = body
        self._note_version(body)
        return before is None or _claims(before) != _claims(body)

    def objects(self) -> tuple[KVEventSync, ...]:
        """All objects, each as last heard of or written."""
        return tuple(sync for key in self.syncs if (sync := self.sync(key)) is not None)

    def siblings(self, namespace: str) -> tuple[KVEventSync, ...]:
        """The objects of one namespace."""
        found = (self.sync(key) for key in self.syncs.within(namespace))
        return tuple(sync for sync in found if sync is not None)

    def spec(self, sync: KVEventSync) -> KVEventSyncSpec | None:
        """What an object wants, read once; None where it cannot be read."""
        return self._claims.spec(sync)

    def may_manage(self, sync: KVEventSync, spec: KVEventSyncSpec) -> bool:
        """Whether an object may have all that it names as its gateway changed."""
        named = (
            self._gateways.may_manage(sync.namespace, *consumer)
            for consumer in spec.gateway.consumers
        )
        return all(permission.granted for permission in named)

    def sync_gone(self, key: Key) -> None:
        """Forget an object that is gone."""
        body = self.syncs.pop(key, None)
        if body is not None:
            self._claims.forget(str(body["metadata"].get("uid", "")))
        if key in self._listed:
            self._listed.drop(key)
        self._written.pop((Kind.SYNC, key), None)
        self._said.pop(key, None)
        if key in self._views:
            self._views.forget(key)
        if not self.syncs.within(key[0]):
            self._index.forget(key[0])
            self._claims.forget_all(key[0])

    def deployment(self, namespace: str, name: str) -> Deployment | None:
        """The Deployment of that name, or None."""
        key = (namespace, name)
        body = self._freshest(Kind.DEPLOYMENT, key, self._deployments.get(key))
        return Deployment(body) if body is not None else None

    def storm(self, namespace: str, name: str) -> StormService | None:
        """The StormService of that name, or None."""
        key = (namespace, name)
        body = self._freshest(Kind.STORM_SERVICE, key, self._storms.get(key))
        return StormService(body) if body is not None else None

    def workload(self, namespace: str, model: str) -> Deployment | None:
        """What a model's name names, or None."""
        storm = storm_of(model)
        return self.storm(namespace, storm) if storm else self.deployment(namespace, model)

    def _freshest(self, kind: str, key: Key, watched: Json | None) -> Json | None:
        """What the watch says, unless our own last write is newer."""
        written = self._written.get((kind, key))
        if written is None or watched is None:
            return watched
        same = written["metadata"]["uid"] == watched["metadata"]["uid"]
        if same and version_of(written) > version_of(watched):
            return written
        del self._written[kind, key]
        return watched

    def pods(self, namespace: str, model: str) -> tuple[Pod, ...]:
        """The pods of a model, by name."""
        keys = sorted(self._pods_of.get((namespace, model), ()))
        bodies = (
            self._as_labelled(key, store[key])
            for key in keys
            for store in self._pods
            if key in store
        )
        # A pod with the labels of both kinds stands in both stores.
        return tuple({body["metadata"]["name"]: Pod(body) for body in bodies}.values())

    def _as_labelled(self, key: Key, body: Json) -> Json:
        """The pod with the labels that we wrote last, until its watch tells of it again."""
        metadata = self._relabelled.get(key)
        if metadata is None or metadata["uid"] != body["metadata"]["uid"]:
            return body
        return {**body, "metadata": {**body["metadata"], "labels": metadata.get("labels") or {}}}

    def concerned(self, namespace: str, model: str) -> Iterator[Key]:
        """The objects that a change of a workload or its pods concerns, as a model or as a gateway: those
        whose last pass saw it, and those whose next one would."""
        here = self.syncs.within(namespace)
        concerned = {key: None for key in here if key not in self._views}
        if len(concerned) < len(here):
            concerned |= dict.fromkeys(self._views.seers((namespace, model)))
            concerned |= dict.fromkeys(self._to_see(namespace, model))
        yield from concerned | dict.fromkeys(self.syncs.naming(namespace, model))

    def _to_see(self, namespace: str, model: str) -> Iterator[Key]:
        """The objects of a namespace that would see a workload as a model now."""
        trait = self._trait(namespace, model)
        if trait is None:
            return
        if trait.owed:
            yield from self.syncs.within(namespace)
        yield from self._claims.selecting(namespace, trait)
        pods = self._pods_of.get((namespace, model), ())
        for uid in {trait.owner_uid, *(self._labelled_by.get(pod, "") for pod in pods)}:
            key = self._claims.key_of(namespace, uid)
            if key is not None:
                yield key

    def marked(self) -> Iterator[Deployment]:
        """The Deployments that are configured as gateways, by whomever."""
        yield from self._gateways.marked()

    def gone(self, deployments: Iterable[Deployment]) -> frozenset[str]:
        """The marks on these gateways of objects that do not exist any more, as far as all objects of
        their namespace are known."""
        marks = {mark for deployment in deployments for mark in owners_of(deployment)}
        return frozenset(mark for mark in marks if self._is_gone(mark))

    def _is_gone(self, mark: str) -> bool:
        namespace, _, name = mark.partition("/")
        is_known = (namespace, name) in self.syncs or (namespace, name) in self._listed
        return not is_known and (not self._served or namespace in self._served)

    def observe(
        self,
        sync: KVEventSync,
        spec: KVEventSyncSpec,
        heard: Heard,
        now: float,
    ) -> Observed:
        """Everything that one pass looks at."""
        held = self._gateways.held(sync, spec)
        models = tuple(self._models(sync, spec, heard))
        self._views.note((sync.namespace, sync.name), _seen(sync, models, held))
        return Observed(
            sync=sync,
            spec=spec,
            models=models,
            gateway=self._gateway(sync, spec, heard, held),
            strays=held.strays,
            revoked=held.revoked,
            verdicts=heard.verdicts,
            others=heard.others,
            unheard=heard.unheard,
            max_rolling=self._max_rolling,
            relays=self.relays,
            admission=self.admission,
            last_words=heard.last_words,
            now=now,
            living=self._living(sync.namespace),
            network=self.policies.of(sync.namespace) if self.policies is not None else None,
        )

    def _living(self, namespace: str) -> frozenset[str]:
        told = (self.syncs[key]["metadata"].get("uid", "") for key in self.syncs.within(namespace))
        listed = (self._listed[key] for key in self._listed.within(namespace))
        return frozenset(map(str, (*told, *listed)))

    def _gateway(
        self, sync: KVEventSync, spec: KVEventSyncSpec, heard: Heard, held: Held
    ) -> ObservedGateway:
        """The gateway with its pods and what their logs say; nothing of one that it may not have."""
        named = self._gateways.named(sync, spec)
        gone = self.gone((*named.within_reach, *held.strays, *held.revoked))
        named = replace(named, gone=gone, tokenizers=heard.tokenizers)
        if not named.permitted:
            return named
        pods = self.pods(spec.gateway.namespace, spec.gateway.deployment)
        places = {pod.uid: (pod.uid, spec.gateway.container) for pod in pods}
        readings = {uid: heard.logs[at] for uid, at in places.items() if at in heard.logs}
        return replace(named, pods=pods, readings=readings)

    def _models(
        self, sync: KVEventSync, spec: KVEventSyncSpec, heard: Heard
    ) -> Iterator[ObservedModel]:
        answers, namespace = heard.answers, sync.namespace
        meant = self._index.meant(namespace, sync.owner.uid, spec.models)
        in_view = (self._trait(namespace, name) for name in announced(sync) | self._labelled(sync))
        models: dict[str, Trait | None] = {
            each.workload.model: each for each in (*meant, *in_view) if each is not None
        }
        known = {each.name for each in models.values() if each is not None}
        models |= {name: None for name in spec.models.names if name not in known}
        for name in sorted(models):
            trait = models[name]
            pods = self.pods(namespace, name)
            yield ObservedModel(
                name=name,
                selected=trait is None or trait.is_selected(spec),
                deployment=trait.workload if trait else None,
                pods=pods,
                answers={pod.uid: answers[pod.uid] for pod in pods if pod.uid in answers},
                other_kind="" if trait else heard.kinds.get((namespace, name), ""),
                rivals=self._claims.rivals(sync, trait) if trait else (),
            )

    def _trait(self, namespace: str, model: str) -> Trait | None:
        storm = storm_of(model)
        kind = Kind.STORM_SERVICE if storm else Kind.DEPLOYMENT
        return self._index.trait(namespace, kind, storm or model)

    def _labelled(self, sync: KVEventSync) -> frozenset[str]:
        """Models with pods that the object labelled."""
        labelled = self._labelled_of.get((sync.namespace, sync.owner.uid), ())
        return frozenset(self._maker_of.get(key, "") for key in labelled)


def _seen(
    sync: KVEventSync, models: Iterable[ObservedModel], held: Held
) -> frozenset[tuple[str, str]]:
    names = {*(model.name for model in models), *announced(sync)}
    gateways = ((each.namespace, each.name) for each in (*held.strays, *held.revoked))
    return frozenset([*((sync.namespace, name) for name in names), *gateways])


def _claims(body: Json) -> Json:
    metadata = body["metadata"]
    marks = ("uid", "generation", "deletionTimestamp", "finalizers")
    return {mark: metadata.get(mark) for mark in marks} | {"held": KVEventSync(body).held_by}


def _is_older(body: Json, than: Json) -> bool:
    same = body["metadata"].get("uid") == than["metadata"].get("uid")
    return same and version_of(body) < version_of(than)
