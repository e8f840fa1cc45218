"""The relay's pieces in a pod template: put in, taken out, found again."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvsync.model.finding import Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.record import RelayChange
from kvsync.model.relay import RELAY_CONTAINER, RELAY_VOLUME, RelayForm
from kvsync.model.workload import JSON, Deployment, Pod

_LISTS = ("initContainers", "containers")


def with_relay(template: JSON, relay: RelayChange) -> JSON:
    """The template with the sidecar and its volume."""
    spec = dict(template.get("spec") or {})
    place, body = relay.form.field, copy.deepcopy(dict(relay.body))
    present = spec.get(place) or ()
    # The first of the init containers: they run one after the other, and one that loads a model must
    # not keep replay requests waiting. Among the others the last: paths and defaults of tools count.
    first = relay.form is RelayForm.NATIVE
    spec[place] = [body, *present] if first else [*present, body]
    spec["volumes"] = [*(spec.get("volumes") or ()), copy.deepcopy(dict(relay.volume))]
    return {**template, "spec": spec}


def without_relay(template: JSON, relay: RelayChange | None) -> JSON:
    """The template without the sidecar and its volume, wherever its owner moved them.

    ``relay`` None: nothing is known of which lists were there before; empty ones are taken out then.
    A volume that another container mounts by now stays: without it the template would be no valid one.
    """
    spec = dict(template.get("spec") or {})
    own_list = relay.form.field if relay is not None else ""
    for place in _LISTS:
        kept = [body for body in spec.get(place) or () if body.get("name") != RELAY_CONTAINER]
        absent = relay is None or (place == own_list and relay.containers_absent)
        _put(spec, place, kept, absent=absent)
    if not any(map(_mounts, _bodies(spec))):
        volumes = [each for each in spec.get("volumes") or () if each.get("name") != RELAY_VOLUME]
        _put(spec, "volumes", volumes, absent=relay is None or relay.volumes_absent)
    return {**template, "spec": spec}


def _put(spec: dict[str, Any], key: str, kept: list[Any], *, absent: bool) -> None:
    if key not in spec or len(kept) == len(spec[key] or ()):
        return
    if kept or not absent:
        spec[key] = kept
    else:
        del spec[key]


def _bodies(spec: JSON) -> Iterator[JSON]:
    for place in _LISTS:
        yield from spec.get(place) or ()


def _mounts(container: JSON) -> bool:
    return any(each.get("name") == RELAY_VOLUME for each in container.get("volumeMounts") or ())


def has_relay(template: JSON, relay: RelayChange) -> bool:
    """Whether a template has the sidecar and its volume as they were written.

    What the API server adds to them, and where they stand in their lists, does not matter; nor does the
    image, for policies of a cluster rewrite images to its own registry.
    """
    spec = template.get("spec") or {}
    bodies = spec.get(relay.form.field) or ()
    wanted = {key: value for key, value in relay.body.items() if key != "image"}
    return _holds(bodies, wanted) and _holds(spec.get("volumes") or (), relay.volume)


def _holds(items: Sequence[JSON], wanted: JSON) -> bool:
    named = (item for item in items if item.get("name") == wanted.get("name"))
    return any(_covers(item, wanted) for item in named)


def _covers(found: Any, wanted: Any) -> bool:
    """Whether every field that was written stands there with its value."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            key in found and _covers(found[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        if not isinstance(found, list | tuple) or len(found) < len(wanted):
            return False
        if all(isinstance(item, Mapping) for item in wanted):
            return all(any(_covers(one, item) for one in found) for item in wanted)
        return list(found) == list(wanted)
    return bool(found == wanted) and type(found) is type(wanted)


def is_fed_through(pod: Pod, relay: RelayChange) -> bool:
    """Whether a pod was made with the sidecar; the image does not matter here either."""
    return any(
        body.get("name") == RELAY_CONTAINER and body.get("args") == relay.body.get("args")
        for body in _bodies(pod.body.get("spec") or {})
    )


def is_relayed(pod: Pod) -> bool:
    """Whether a pod has a container of the relay's name."""
    return any(b.get("name") == RELAY_CONTAINER for b in _bodies(pod.body.get("spec") or {}))


def is_recognised(template: JSON) -> bool:
    """Whether a template has a sidecar of our name and form, whatever became of the record of it.

    One that somebody placed by hand (docs/relay.md) has no volume of ours.
    """
    return any(
        body.get("name") == RELAY_CONTAINER
        and (body.get("args") or [None])[0] == "relay"
        and _mounts(body)
        for body in _bodies(template.get("spec") or {})
    )


def name_taken(base: Deployment) -> Refusal | None:
    """The refusal where its owner's own template has something by our name."""
    spec = base.template.get("spec") or {}
    containers = (body for body in _bodies(spec) if body.get("name") == RELAY_CONTAINER)
    volumes = (each for each in spec.get("volumes") or () if each.get("name") == RELAY_VOLUME)
    kind = "container" if any(containers) else "volume" if any(volumes) else ""
    if not kind:
        return None
    return Refusal(
        ModelReason.RELAY_NAME_TAKEN,
        f"{base.title} has a {kind} {RELAY_CONTAINER} of its own, which is the name of the relay.",
        'Rename it, or set spec.events.relay.mode to "Off".',
    )
