"""A rule for each key: which value it gets where the owner and we differ, or why none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kvsync.core.event_config.keys import shown
from kvsync.core.event_config.model import Contradiction
from kvsync.model.reasons import ModelReason

_TCP = re.compile(r"tcp://(?P<host>.*):(?P<port>[0-9]{1,5})", re.DOTALL)
_LOOPBACK = re.compile(r"(127\..*|localhost|lo|(0*:)*:0*1|::ffff:127\..*)", re.IGNORECASE)

_Rule = Callable[[str, Any, Any], Any]
"""From a key, the owner's value (None if not given) and ours: the value to have, or why not."""


def choose(own: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any] | Contradiction:
    """Every key with the value to have, ours first, in our order; or the first that has none."""
    chosen: dict[str, Any] = {}
    for key, ours in wanted.items():
        value = _RULES.get(key, _owners)(key, own.get(key), ours)
        if isinstance(value, Contradiction):
            return value
        chosen[key] = value
    kept = {key: value for key, value in own.items() if key not in wanted}
    if kept.get("bind") and connects(str(wanted.get("endpoint", ""))):
        kept["bind"] = False  # SGLang's way to listen where the text alone would have it connect
    return chosen | kept


def connects(endpoint: str) -> bool:
    """Whether a publisher connects there, as to a relay: it binds only where the text holds * or ::."""
    return _TCP.fullmatch(endpoint) is not None and "*" not in endpoint and "::" not in endpoint


def _owners(_key: str, own: Any, ours: Any) -> Any:
    return ours if own is None else own


def _on(_key: str, _own: Any, _ours: Any) -> bool:
    return True


def _zmq(key: str, own: str | None, ours: str) -> str | Contradiction:
    if own in (None, "null", ours):
        return ours
    return _already(
        key, own, f"the gateway hears {shown(ours)} only", f'Write "{key}": {shown(ours)}'
    )


def _topic(key: str, own: str | None, ours: str) -> str | Contradiction:
    """Subscribers take every topic that begins with ours."""
    if not own:
        return ours
    if own.startswith(ours):
        return own
    return _already(
        key,
        own,
        f"subscribers take topics that begin with {shown(ours)} only",
        f"Set spec.events.topic to {shown(own)} or a beginning of it",
    )


def _replay(key: str, own: str | None, ours: str | None) -> str | Contradiction | None:
    """The replay socket always binds, whatever the text (``ZmqEventPublisher._socket_setup``)."""
    if not own or ours is None:
        return own or ours
    return ours if _is_local(ours) else _reachable(key, own, ours, "spec.events.replayPort")


def _publish(key: str, own: str | None, ours: str) -> str | Contradiction:
    """The publishing socket binds where its text holds ``*`` or ``::``, and connects otherwise."""
    if own is None or own == ours:
        return ours
    if connects(ours):
        return _through_relay(key, own, ours)
    if connects(own):
        return Contradiction(
            ModelReason.ENDPOINT_CONNECTS,
            f"With {key} {shown(own)} the engine connects there and opens no port: vLLM binds only "
            "where the text holds * or ::.",
            f'Write "{key}": {shown(ours)} in the KV event configuration.',
        )
    return _reachable(key, own, ours, "spec.events.port")


def _through_relay(key: str, own: str, ours: str) -> str | Contradiction:
    """Where a relay publishes in the engine's place, the engine need not listen anywhere itself."""
    tcp = _TCP.fullmatch(own)
    if tcp is not None and (not connects(own) or tcp["host"] in ("", "0.0.0.0")):  # noqa: S104
        return ours
    return Contradiction(
        ModelReason.ENDPOINT_CONNECTS,
        f"With {key} {shown(own)} the engine publishes there, and not to its relay.",
        f'Write "{key}": {shown(ours)} in the KV event configuration, or set '
        'spec.events.relay.mode to "Off".',
    )


def _is_local(endpoint: str) -> bool:
    tcp = _TCP.fullmatch(endpoint)
    return tcp is not None and _LOOPBACK.fullmatch(tcp["host"].strip("[]")) is not None


def _reachable(key: str, own: str, ours: str, field: str) -> str | Contradiction:
    have, want = _TCP.fullmatch(own), _TCP.fullmatch(ours)
    if own == ours:
        return own
    write = f'Write "{key}": {shown(ours)}'
    if have is None or not 0 < int(have["port"]) < 65536:
        return _already(key, own, "the gateway can reach a tcp port only", write)
    if _LOOPBACK.fullmatch(have["host"].strip("[]")):
        return _already(key, own, "that can be reached inside the pod only", write)
    if want is None or int(have["port"]) != int(want["port"]):
        port = int(have["port"])
        return _already(key, own, f"{shown(ours)} is wanted", f"Set {field} to {port}")
    return own


_RULES: Mapping[str, _Rule] = {
    "enable_kv_cache_events": _on,
    "publisher": _zmq,
    "endpoint": _publish,
    "replay_endpoint": _replay,
    "topic": _topic,
}


def _already(key: str, own: Any, why: str, instead: str) -> Contradiction:
    return Contradiction(
        ModelReason.EVENTS_ALREADY_CONFIGURED,
        f"The KV event configuration has {key} {shown(own)}, but {why}.",
        f"{instead}, or remove {key} from it and let the operator set it.",
    )
