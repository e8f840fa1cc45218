"""The sidecar as it is written: the container, its volume, and what it is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kvsync.core.digest import digest
from kvsync.core.event_config.read import with_settings
from kvsync.core.ports import EnginePod
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT
from kvsync.core.sidecar.resources import Share, is_guaranteed, share_of
from kvsync.model.duration import format_duration
from kvsync.model.record import RelayChange
from kvsync.model.relay import (
    RELAY_CONTAINER,
    RELAY_DIRECTORY,
    RELAY_VOLUME,
    RelayForm,
    RelayMeans,
    RelayPorts,
)
from kvsync.model.spec import EventsSpec
from kvsync.model.workload import JSON

_USER = 65532
"""Neither root nor anybody else: by number, since the kubelet must be able to tell."""

_SECURITY: JSON = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsGroup": _USER,
    "runAsNonRoot": True,
    "runAsUser": _USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What the Pod Security Standard ``restricted`` asks of a container."""

_ALIVE: JSON = {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6}
"""A loop that stands for a minute is stuck. There is no readiness probe, nor one for the start: an engine
serves as well without its relay, and must neither wait for it nor leave the service for it."""


@dataclass(frozen=True, slots=True)
class RelayWish:
    """All that a relay depends on, but for the operator's own version."""

    pod: EnginePod
    events: EventsSpec
    ports: RelayPorts

    @property
    def share(self) -> Share:
        """Its resources."""
        return share_of(self.pod.base, self.events.relay.resources)

    @property
    def digest(self) -> str:
        """What changes when the object or the owner's template asks for another one."""
        relay, engine = self.events.relay, self.pod.engine
        asked = [relay.image, relay.reannounce, asdict(relay.resources), self.events.topic]
        # Of resources not what they come to: another default is the operator's own version.
        found = [is_guaranteed(self.pod.base), self.pod.ranks, engine.http_port, asdict(self.ports)]
        return digest([*asked, *found])

    def change(self, means: RelayMeans, layout_of: str) -> RelayChange:
        """The pieces, written new; ``layout_of`` is kept with them (``choice``)."""
        spec = self.pod.base.template.get("spec") or {}
        return RelayChange(
            form=means.form,
            body=self._container(means),
            volume=self._volume(),
            wish=self.digest,
            containers_absent=spec.get(means.form.field) is None,
            volumes_absent=spec.get("volumes") is None,
            layout_of=layout_of,
        )

    def _volume(self) -> JSON:
        # In memory: a volume on the node's disk would keep cluster autoscalers from removing the node.
        size = self.share.journal
        return {"name": RELAY_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": size}}

    def _container(self, means: RelayMeans) -> JSON:
        body: dict[str, Any] = {
            "name": RELAY_CONTAINER,
            "image": self.events.relay.image or means.image,
            "args": list(self._arguments()),
            "ports": [
                _port("kv-events", GATEWAY_PORT),
                _port("kv-replay", GATEWAY_REPLAY_PORT),
                _port("kv-relay", self.ports.http),
            ],
            "resources": self.share.body,
            "volumeMounts": [{"name": RELAY_VOLUME, "mountPath": RELAY_DIRECTORY}],
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": self.ports.http}, **_ALIVE},
            "securityContext": _SECURITY,
        }
        if means.form is RelayForm.NATIVE:
            body["restartPolicy"] = "Always"
        return body

    def _arguments(self) -> tuple[str, ...]:
        ports, events = self.ports, self.events
        topic = (f"--topic={events.topic}",) if events.topic else ()
        return (
            "relay",
            f"--upstream=tcp://127.0.0.1:{ports.upstream}",
            f"--upstream-replay=tcp://127.0.0.1:{ports.upstream_replay}",
            f"--listen=tcp://*:{GATEWAY_PORT}",
            f"--replay=tcp://*:{GATEWAY_REPLAY_PORT}",
            f"--ranks={self.pod.ranks}",
            "--own-hashes",
            *topic,
            f"--engine-metrics=http://127.0.0.1:{self.pod.engine.http_port}/metrics",
            f"--max-blocks={self.share.table_blocks}",
            f"--max-memory={self.share.table_mib}",
            f"--reannounce={format_duration(events.relay.reannounce)}",
            f"--journal={RELAY_DIRECTORY}/journal",
            f"--metrics-address=[::]:{ports.http}",  # for IPv4 too
        )


def to_relay(arguments: tuple[str, ...], ports: RelayPorts) -> tuple[str, ...]:
    """The engine's own arguments, such that it publishes to the relay.

    Raises:
        TemplateRenderError: they hold no configuration as JSON.
    """
    # Without * the engine connects, so that either may start first; what replays always listens.
    inner = {
        "endpoint": f"tcp://127.0.0.1:{ports.upstream}",
        "replay_endpoint": f"tcp://127.0.0.1:{ports.upstream_replay}",
    }
    return with_settings(arguments, inner)


def _port(name: str, number: int) -> JSON:
    return {"name": name, "containerPort": number, "protocol": "TCP"}
