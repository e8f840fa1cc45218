"""The gateway's flag: on only behind what was verified, and off before anything is taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaos.history import DEPLOYMENTS, SYNCS, History, Key, Moment, template_of
from chaos.looks import (
    flag_is_on,
    is_configured,
    is_leaving,
    is_marked_for,
    is_meant,
    is_named_on,
    is_told_verified,
    manages_gateway,
    told_of,
)
from testbed.api import Object, rolled_out


def early_flags(history: History, gateway: Key | None) -> Iterator[str]:
    """Moments at which the operator turned the flag on too early, or restarted a model beside it.

    Every model that is meant by an object which the gateway is configured for has been configured and
    rolled out since the operator changed it last; and before a template is taken back because its object
    is deleted, the flag is off, or on for others only.
    """
    proven: set[Key] = set()
    for moment in history.moments():
        version, state = moment.version, moment.state
        key, body, before = version.key, version.body, moment.before
        if key[0] != DEPLOYMENTS or body is None:
            continue
        if key == gateway:
            on = flag_is_on(body) and before is not None and not flag_is_on(before)
            if on and not history.is_users(version):
                for name in _unproven(state, gateway, proven):
                    yield f"the gateway's flag is on at {version.revision}, and {name} is not rolled out"
            continue
        changed = before is not None and template_of(before) != template_of(body)
        if changed and not history.is_users(version):
            proven.discard(key)
            if before is not None and is_configured(before) and not is_configured(body):
                yield from _beside_flag(state, gateway, key, version.revision)
        if is_configured(body) and rolled_out(body):
            proven.add(key)


def _unproven(state: Mapping[Key, Object], gateway: Key, proven: set[Key]) -> list[str]:
    syncs = [
        b
        for k, b in state.items()
        if k[0] == SYNCS and not is_leaving(b) and is_named_on(b, state[gateway])
    ]
    return [
        key[2]
        for key, body in sorted(state.items())
        if key[0] == DEPLOYMENTS and key not in {gateway, *proven}
        for sync in syncs
        if manages_gateway(sync) and is_meant(sync, body) and not _is_refused(sync, key[2])
    ]


def _is_refused(sync: Object, model: str) -> bool:
    return told_of(sync, model).get("state") == "Refused"


def _beside_flag(
    state: Mapping[Key, Object], gateway: Key | None, model: Key, revision: int
) -> Iterator[str]:
    if gateway is None or gateway not in state or not flag_is_on(state[gateway]):
        return
    syncs = [b for k, b in state.items() if k[0] == SYNCS and manages_gateway(b)]
    meant = [sync for sync in syncs if is_meant(sync, state[model])]
    others = [sync for sync in syncs if sync not in meant]
    let_go = not any(is_marked_for(sync, state[gateway]) for sync in meant)
    theirs = any(is_marked_for(sync, state[gateway]) for sync in others)
    if meant and all(map(is_leaving, meant)) and not (let_go and theirs):
        yield f"{model[2]} is taken back at {revision}, and the gateway's flag is still on"


def late_flags(history: History, gateway: Key | None) -> Iterator[str]:
    """Flags after which no status ever said the models verified, although nothing came between.

    A pass that turns the flag on writes its status behind that, and an operator killed between the
    two hears the engines anew: so a later status may tell. A model that changes, or an object that
    does, ends the wait.
    """
    if gateway is None:
        return
    # By object and model, since which revision.
    waiting: dict[tuple[Key, Key], int] = {}
    for moment in history.moments():
        if moment.version.key == gateway:
            if not moment.body or not flag_is_on(moment.body):
                waiting.clear()
            elif moment.before is not None and not flag_is_on(moment.before):
                pairs = _pairs(moment.state, gateway)
                waiting.update(dict.fromkeys(pairs, moment.version.revision))
        else:
            for pair in [pair for pair in waiting if _ends(moment, *pair)]:
                del waiting[pair]
    for (sync, model), revision in sorted(waiting.items()):
        yield (
            f"the gateway's flag is on since {revision}, and no status of {sync[2]} ever said "
            f"that {model[2]} was verified"
        )


def _ends(moment: Moment, sync: Key, model: Key) -> bool:
    """Whether nobody waits any more for what an object says of a model."""
    key, body = moment.version.key, moment.body
    if key == sync:
        return _is_answered(body, moment.before, model[2])
    if key != model:
        return False
    return not body or not rolled_out(body) or template_of(body) != template_of(moment.before)


def _pairs(state: Mapping[Key, Object], gateway: Key) -> Iterator[tuple[Key, Key]]:
    for key, sync in state.items():
        if key[0] != SYNCS or is_leaving(sync) or not manages_gateway(sync):
            continue
        if not is_named_on(sync, state[gateway]):
            continue
        for model, body in state.items():
            pods = body["spec"].get("replicas", 1)
            if model[0] == DEPLOYMENTS and model != gateway and pods and is_meant(sync, body):
                yield key, model


def _is_answered(body: Object | None, before: Object | None, model: str) -> bool:
    if body is None or before is None or is_leaving(body) or body["spec"] != before["spec"]:
        return True
    entry = told_of(body, model)
    return is_told_verified(entry) or entry.get("state") == "Refused"
