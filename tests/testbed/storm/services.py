"""One StormService's pass: RoleSets made, deleted, replaced or updated; its status written.

Source: AIBrix, ``pkg/controller/stormservice`` (``stormservice_controller.go``, ``sync.go``).
"""

from collections.abc import Sequence

from testbed.api import Api, ApiError
from testbed.storm.budget import in_place, service_budget
from testbed.storm.names import ROLE_SETS, SERVICE_FINALIZER, SERVICE_NAME, STORM_SERVICES
from testbed.storm.objects import (
    Object,
    controlled_by,
    has_finalizer,
    has_revision,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    wanted_role_sets,
)
from testbed.storm.render import SelectorError, role_set_of
from testbed.storm.revisions import Revisions, find_revisions
from testbed.storm.status import failed_service_status, same, service_status


def reconcile(
    api: Api, service: Object, role_sets: Sequence[Object], revisions: Sequence[Object]
) -> None:
    """One pass for one StormService; the others are all of its namespace."""
    own = [each for each in role_sets if _selects(service, each)]
    if is_terminating(service):
        _finalize(api, service, own)
        return
    if not has_finalizer(service, SERVICE_FINALIZER):
        service = _set_finalizers(api, service, [SERVICE_FINALIZER])
    history = find_revisions(api, service, revisions)
    _ensure_headless_service(api, service)
    names = (name_of(history.current), name_of(history.update))
    try:
        _sync_role_sets(api, service, own, history)
    except (ApiError, SelectorError) as error:
        status = failed_service_status(service, str(error), *names)
    else:
        status = service_status(service, own, *names)
    if not same(service.get("status"), status):
        api.replace({**service, "status": status}, subresource="status")


def _sync_role_sets(api: Api, service: Object, own: Sequence[Object], history: Revisions) -> None:
    """Scale; only when nothing was to scale, roll out. While paused, nothing of a rollout."""
    paused = bool(service["spec"].get("paused"))
    if paused and name_of(history.current) != name_of(history.update):
        return
    if _scale(api, service, own, history) or paused:
        return
    updated = [each for each in own if has_revision(each, name_of(history.update))]
    if len(updated) == wanted_role_sets(service):
        return
    if in_place(service):
        _update_in_place(api, service, own, history)
    else:
        _replace(api, service, own, history)


def _scale(api: Api, service: Object, own: Sequence[Object], history: Revisions) -> bool:
    """Towards as many RoleSets as are wanted; whether there was anything to do."""
    wanted, budget = wanted_role_sets(service), service_budget(service)
    active = [each for each in own if not is_terminating(each)]
    if len(active) < wanted:
        room = wanted + budget.surge - len(own)
        return _create(api, service, history, min(wanted - len(active), room))
    order = sorted(active, key=lambda each: _keep_order(each, name_of(history.update)))
    surplus = order[: len(active) - wanted]
    return _delete(api, _expendable(surplus, active, wanted - budget.unavailable))


def _replace(api: Api, service: Object, own: Sequence[Object], history: Revisions) -> None:
    """Delete outdated RoleSets whole, and make new ones, within the budget (``rollingUpdate``)."""
    wanted, budget = wanted_role_sets(service), service_budget(service)
    revision = name_of(history.update)
    active = [each for each in own if not is_terminating(each)]
    outdated = [each for each in active if not has_revision(each, revision)]
    outdated.sort(key=lambda each: _keep_order(each, revision))
    _delete(api, _expendable(outdated, active, wanted - budget.unavailable))
    missing = wanted - (len(active) - len(outdated))
    _create(api, service, history, min(wanted + budget.surge - len(own), missing))


def _update_in_place(api: Api, service: Object, own: Sequence[Object], history: Revisions) -> None:
    """Give all outdated RoleSets the new template at once (``inPlaceUpdate``)."""
    revision = name_of(history.update)
    target = role_set_of(service, revision, history.by_role())
    marks = {key: target["metadata"][key] for key in ("labels", "annotations")}
    for role_set in own:
        if not has_revision(role_set, revision):
            metadata = {**role_set["metadata"], **marks}
            api.replace({**role_set, "metadata": metadata, "spec": target["spec"]})


def _expendable(candidates: Sequence[Object], active: Sequence[Object], least: int) -> list[Object]:
    """Those that can go in this order with ``least`` ready ones left; one not ready always can."""
    ready = sum(map(is_ready, active))
    chosen = []
    for role_set in candidates:
        if is_ready(role_set):
            if ready <= least:
                break
            ready -= 1
        chosen.append(role_set)
    return chosen


def _keep_order(role_set: Object, revision: str) -> tuple[bool, bool]:
    """Outdated ones go first, and among equals those that are not ready."""
    return has_revision(role_set, revision), is_ready(role_set)


def _create(api: Api, service: Object, history: Revisions, count: int) -> bool:
    for _ in range(count):
        api.create(role_set_of(service, name_of(history.update), history.by_role()))
    return count > 0


def _delete(api: Api, role_sets: Sequence[Object]) -> bool:
    for role_set in role_sets:
        api.delete(ROLE_SETS, name_of(role_set), namespace_of(role_set))
    return bool(role_sets)


def _finalize(api: Api, service: Object, own: Sequence[Object]) -> None:
    for role_set in own:
        if not is_terminating(role_set):
            _delete(api, [role_set])
    if not own and has_finalizer(service, SERVICE_FINALIZER):
        _set_finalizers(api, service, None)


def _ensure_headless_service(api: Api, service: Object) -> None:
    """The Service for finding pods by name; one of the user's by that name is left alone."""
    name, namespace = name_of(service), namespace_of(service)
    if api.find("services", name, namespace):
        return
    api.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": dict(labels_of(service)),
                "ownerReferences": [controlled_by(service, "StormService")],
            },
            "spec": {
                "clusterIP": "None",
                "selector": {SERVICE_NAME: name},
                "publishNotReadyAddresses": True,
            },
        }
    )


def _selects(service: Object, role_set: Object) -> bool:
    wanted = service["spec"]["selector"].get("matchLabels") or {}
    return bool(wanted.items() <= labels_of(role_set).items())


def _set_finalizers(api: Api, service: Object, finalizers: list[str] | None) -> Object:
    patch = {"metadata": {"finalizers": finalizers}}
    return api.patch(STORM_SERVICES, name_of(service), patch, namespace_of(service))
