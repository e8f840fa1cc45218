"""``spec.engine.labels: WhenVerified``: the gateway hears of a pod once its events were seen, not before.

A gateway subscribes to each running pod that carries the label, waits 5 s for one that does not
answer yet, and takes a change of the label on a living pod at once, both ways (AIBrix
``pkg/kvevent/manager.go``, ``pkg/cache/kvcache/zmq_client.go``). So a pod that is labelled only
while its source is proven never stalls it. What we put on a pod is marked on it with the uid of the
object; a label that stands without that mark is somebody else's and stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kvsync.core.assess import ModelState, ModelView
from kvsync.core.desired import EVENTS_LABEL, is_heard
from kvsync.core.patch import expect, pointer
from kvsync.core.planned import Part
from kvsync.model.decision import Action, Deed, Kind
from kvsync.model.observed import KVEventSync, Observed, ObservedModel
from kvsync.model.source import Verdict
from kvsync.model.spec import EngineLabels, Mode
from kvsync.model.workload import Pod

MARK = "kvsync.aibrix.ai/labelled-by"
"""On a pod: the uid of the object that labelled it."""

AT_ONCE = 50
"""Pods that one pass changes; the next one follows at once."""


def label_actions(observed: Observed, views: Sequence[ModelView]) -> tuple[Action, ...]:
    """The pods whose label changes now, some at a time."""
    by_name = {view.name: view for view in views}
    found = [
        action
        for model in observed.models
        for action in _of_model(observed, model, by_name.get(model.name))
    ]
    return tuple(found[:AT_ONCE])


def unlabel_actions(sync: KVEventSync, pods: Iterable[Pod]) -> tuple[Action, ...]:
    """The patches that take off every label of this object, some at a time."""
    marked = [pod for pod in pods if is_marked(pod, sync)]
    return tuple(_take_off(pod, "") for pod in marked[:AT_ONCE])


def is_marked(pod: Pod, sync: KVEventSync) -> bool:
    """Whether this object labelled a pod that still lives."""
    return not pod.deleting and pod.labels.get(MARK) == sync.owner.uid


def _of_model(observed: Observed, model: ObservedModel, view: ModelView | None) -> Iterator[Action]:
    if view is None or observed.spec.mode is Mode.RENDER:  # not meant, or not written to any more
        yield from unlabel_actions(observed.sync, model.pods)
        return
    verdicts: dict[str, list[Verdict]] = {}
    for verdict in view.verdicts:
        verdicts.setdefault(verdict.key.uid, []).append(verdict)
    for pod in model.pods:
        part = next((p for p in (view.plan.parts if view.plan else ()) if p.covers(pod)), None)
        action = None if pod.deleting else _of_pod(observed, view, pod, part, verdicts)
        if action is not None:
            yield action


def _of_pod(
    observed: Observed,
    view: ModelView,
    pod: Pod,
    part: Part | None,
    verdicts: dict[str, list[Verdict]],
) -> Action | None:
    wanted = observed.spec.engine.labels is EngineLabels.WHEN_VERIFIED
    wanted = wanted and part is not None and is_heard(part.events)
    ours = is_marked(pod, observed.sync)
    if not wanted:
        # While a rollout goes on, its old pods keep what they were heard by.
        return _take_off(pod, "") if ours and view.state is ModelState.READY else None
    said = verdicts.get(pod.uid, [])
    failing = next((each for each in said if each.settled and not each.verified), None)
    if ours and failing is not None:
        return _take_off(pod, f"{failing.reason}: {failing.message} {failing.remedy}".strip())
    proven = bool(said) and all(each.settled and each.verified for each in said)
    # A mark without the label: somebody took the label off by hand, and means it.
    if proven and EVENTS_LABEL not in pod.labels and MARK not in pod.labels:
        return _put_on(pod, observed.sync)
    return None


def _put_on(pod: Pod, sync: KVEventSync) -> Action:
    operations = (
        expect("/metadata/uid", pod.uid),
        *_set(EVENTS_LABEL, "true"),
        *_set(MARK, sync.owner.uid),
    )
    note = f"Labelled pod {pod.name} for the gateway: its source is verified."
    return Action(Kind.POD, pod.namespace, pod.name, operations, Deed.POD_LABELLED, note)


def _set(key: str, value: str) -> Iterator[dict[str, object]]:
    path = pointer("metadata", "labels", key)
    yield expect(path, None)
    yield {"op": "add", "path": path, "value": value}


def _take_off(pod: Pod, why: str) -> Action:
    # Whatever stands there under our mark goes with it: only "true" was ever ours.
    keys = [MARK, *([EVENTS_LABEL] if pod.labels.get(EVENTS_LABEL) == "true" else [])]
    operations: list[dict[str, object]] = [expect("/metadata/uid", pod.uid)]
    for key in keys:
        path = pointer("metadata", "labels", key)
        operations += [expect(path, pod.labels[key]), {"op": "remove", "path": path}]
    note = f"Took the gateway's label off pod {pod.name}" + (f": {why}" if why else ".")
    return Action(
        Kind.POD,
        pod.namespace,
        pod.name,
        tuple(operations),
        Deed.POD_UNLABELLED,
        note,
        warning=bool(why),
    )
