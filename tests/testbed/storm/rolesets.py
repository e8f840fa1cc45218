"""One RoleSet's pass: pods made, deleted, replaced; its status written.

Source: AIBrix, ``pkg/controller/roleset`` (``roleset_controller.go``, ``rolling.go``, ``sync.go``).
"""

from collections.abc import Sequence

from testbed.api import Api, ApiError
from testbed.storm.names import ROLE_NAME, ROLE_SET_FINALIZER, ROLE_SETS
from testbed.storm.objects import (
    Object,
    has_finalizer,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    roles_of,
)
from testbed.storm.render import pod_of
from testbed.storm.roles import Step, is_done, roll_out, scale
from testbed.storm.status import role_set_status, same

CONFLICT = 409


class UnsupportedError(Exception):
    """A RoleSet asks for what the stand-in does not do."""


def reconcile(api: Api, role_set: Object, pods: Sequence[Object]) -> None:
    """One pass for one RoleSet; ``pods`` are all that carry its name."""
    if is_terminating(role_set):
        _finalize(api, role_set, pods)
        return
    if not has_finalizer(role_set, ROLE_SET_FINALIZER):
        _set_finalizers(api, role_set, [ROLE_SET_FINALIZER])
        return
    error = ""
    try:
        _sync_pods(api, role_set, pods)
    except (ApiError, UnsupportedError) as failure:
        error = str(failure)
    status = role_set_status(role_set, pods, error)
    if not same(role_set.get("status"), status):
        api.replace({**role_set, "status": status}, subresource="status")


def _sync_pods(api: Api, role_set: Object, pods: Sequence[Object]) -> None:
    """Scale all roles; only when nothing was to scale, roll out."""
    roles = [(role, _pods_of(role, pods)) for role in roles_of(role_set["spec"])]
    if any(int(role.get("podGroupSize") or 1) > 1 for role, _ in roles):
        raise UnsupportedError("the stand-in has no PodSets: podGroupSize must be 1")
    scaled = [_carry_out(api, role_set, role, scale(role, own)) for role, own in roles]
    if any(scaled):
        return
    if role_set["spec"].get("updateStrategy") == "Parallel":
        for role, own in roles:
            _carry_out(api, role_set, role, roll_out(role, own))
        return
    for role, own in sorted(roles, key=lambda pair: _upgrade_order(pair[0])):
        _carry_out(api, role_set, role, roll_out(role, own))
        if not is_done(role, own):
            return


def _carry_out(api: Api, role_set: Object, role: Object, step: Step) -> bool:
    """Whether there was anything to do."""
    for index in step.create:
        try:
            api.create(pod_of(role_set, role, index))
        except ApiError as error:
            # A stateful pod's name is taken while the one before is still ending.
            if error.code != CONFLICT:
                raise
    for pod in step.delete:
        api.delete("pods", name_of(pod), namespace_of(pod))
    return bool(step)


def _upgrade_order(role: Object) -> float:
    """Roles without an order come last, in the order of the list."""
    order = role.get("upgradeOrder")
    return float("inf") if order is None else int(order)


def _pods_of(role: Object, pods: Sequence[Object]) -> list[Object]:
    return [pod for pod in pods if labels_of(pod).get(ROLE_NAME) == role.get("name", "")]


def _finalize(api: Api, role_set: Object, pods: Sequence[Object]) -> None:
    for pod in pods:
        if not is_terminating(pod):
            api.delete("pods", name_of(pod), namespace_of(pod))
    if not pods and has_finalizer(role_set, ROLE_SET_FINALIZER):
        _set_finalizers(api, role_set, None)


def _set_finalizers(api: Api, role_set: Object, finalizers: list[str] | None) -> None:
    patch = {"metadata": {"finalizers": finalizers}}
    api.patch(ROLE_SETS, name_of(role_set), patch, namespace_of(role_set))
