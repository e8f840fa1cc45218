"""Which pods of a role to make and which to delete: decisions only, nothing is carried out here.

Source: AIBrix, ``pkg/controller/roleset/rolesyncer.go`` (``StatelessRoleSyncer``,
``StatefulRoleSyncer``).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.storm.budget import role_budget
from testbed.storm.names import REPLICA_INDEX
from testbed.storm.objects import (
    Object,
    annotations_of,
    has_hash,
    is_active,
    is_ready,
    is_terminating,
    replicas_of,
    template_hash_of,
)

Pods = list[Object]


@dataclass(frozen=True)
class Step:
    """What to do with a role now; ``create`` holds slots, None for a pod without one."""

    create: tuple[int | None, ...] = ()
    delete: tuple[Object, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.create or self.delete)


def scale(role: Object, pods: Pods) -> Step:
    """Towards as many pods as are wanted, whatever their template; ended pods go."""
    if role.get("stateful"):
        return _scale_slots(role, pods)
    return _scale_pool(role, pods)


def roll_out(role: Object, pods: Pods) -> Step:
    """Towards pods of the current template, within the budget.

    Pods of another template that are not ready are deleted outside of it.
    """
    if role.get("stateful"):
        return _roll_out_slots(role, pods)
    return _roll_out_pool(role, pods)


def is_done(role: Object, pods: Pods) -> bool:
    """Whether all pods are ready, of the current template, and as many as wanted (``AllReady``)."""
    current = template_hash_of(role)
    if not all(is_active(pod) and is_ready(pod) and has_hash(pod, current) for pod in pods):
        return False
    if not role.get("stateful"):
        return len(pods) == replicas_of(role)
    slots, misplaced = _slots(role, pods)
    return not misplaced and all(len(slot) == 1 for slot in slots)


def _scale_pool(role: Object, pods: Pods) -> Step:
    wanted, budget = replicas_of(role), role_budget(role)
    active, ended = _active(pods), _ended(pods)
    if len(active) > wanted:
        return Step((), (*ended, *_surplus(role, active)))
    room = wanted + budget.surge - len(active) - len(_terminating(pods))
    return Step((None,) * min(wanted - len(active), max(room, 0)), tuple(ended))


def _surplus(role: Object, active: Pods) -> Pods:
    """Too many: outdated ones first, then those not ready, then the newest."""
    current, wanted = template_hash_of(role), replicas_of(role)
    spare = sum(map(is_ready, active)) - (wanted - role_budget(role).unavailable)
    newest = sorted(active, key=_created, reverse=True)
    order = sorted(newest, key=lambda pod: (has_hash(pod, current), is_ready(pod)))
    chosen: Pods = []
    for pod in order[: len(active) - wanted]:
        if spare <= 0:
            break
        chosen.append(pod)
        spare -= is_ready(pod)
    return chosen


def _roll_out_pool(role: Object, pods: Pods) -> Step:
    wanted, budget, current = replicas_of(role), role_budget(role), template_hash_of(role)
    active = _active(pods)
    outdated = [pod for pod in active if not has_hash(pod, current)]
    spare = sum(map(is_ready, active)) - wanted + budget.unavailable
    ready = [pod for pod in sorted(outdated, key=_created, reverse=True) if is_ready(pod)]
    broken = [pod for pod in outdated if not is_ready(pod)]
    room = wanted + budget.surge - len(active) - len(_terminating(pods))
    missing = wanted - (len(active) - len(outdated))
    return Step((None,) * max(min(room, missing), 0), (*broken, *ready[: max(spare, 0)]))


def _scale_slots(role: Object, pods: Pods) -> Step:
    active = _active(pods)
    slots, misplaced = _slots(role, active)
    room = len(slots) + role_budget(role).surge - len(active) - len(_terminating(pods))
    empty = [index for index, slot in enumerate(slots) if not slot]
    crowd = [pod for slot in slots if len(slot) > 1 for pod in _too_many(role, slot)]
    return Step(tuple(empty[: max(room, 0)]), (*_ended(pods), *misplaced, *crowd))


def _too_many(role: Object, slot: Pods) -> Pods:
    """One updated ready pod stays; without one, an outdated ready and an updated one beside it."""
    current = template_hash_of(role)
    updated = [pod for pod in slot if has_hash(pod, current)]
    outdated = [pod for pod in slot if not has_hash(pod, current)]
    ready = [pod for pod in updated if is_ready(pod)]
    if ready:
        return [pod for pod in slot if pod is not ready[0]]
    broken = [pod for pod in outdated if not is_ready(pod)]
    return broken + [pod for pod in outdated if is_ready(pod)][1:] + updated[1:]


def _roll_out_slots(role: Object, pods: Pods) -> Step:
    wanted, budget, current = replicas_of(role), role_budget(role), template_hash_of(role)
    slots, _ = _slots(role, _active(pods))
    spare = sum(any(map(is_ready, slot)) for slot in slots) - wanted + budget.unavailable
    room = wanted + budget.surge - len(pods)
    create: list[int | None] = []
    delete: Pods = []
    for index, slot in enumerate(slots):
        # A slot with none or two is for scaling to settle first.
        if len(slot) != 1 or has_hash(slot[0], current):
            continue
        if not is_ready(slot[0]):
            delete.append(slot[0])
        elif spare > 0:
            delete.append(slot[0])
            spare -= 1
        elif room > 0:
            create.append(index)
            room -= 1
    return Step(tuple(create), tuple(delete))


def _slots(role: Object, pods: Iterable[Object]) -> tuple[list[Pods], Pods]:
    """The pods by their index, and those whose index is none that is wanted."""
    slots: list[Pods] = [[] for _ in range(replicas_of(role))]
    misplaced: Pods = []
    for pod in pods:
        # Made by us alone, so it is a number or absent.
        index = int(annotations_of(pod).get(REPLICA_INDEX, -1))
        (slots[index] if 0 <= index < len(slots) else misplaced).append(pod)
    return slots, misplaced


def _active(pods: Pods) -> Pods:
    return [pod for pod in pods if is_active(pod)]


def _terminating(pods: Pods) -> Pods:
    return [pod for pod in pods if is_terminating(pod)]


def _ended(pods: Pods) -> Pods:
    return [pod for pod in pods if not is_active(pod) and not is_terminating(pod)]


def _created(pod: Object) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))
