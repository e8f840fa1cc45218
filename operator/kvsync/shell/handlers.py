"""The only module that knows kopf: it watches KVEventSync objects and passes on what it is told.

Handlers only remember the object and enqueue its key: kopf never retries them, and its own
handlers for creation and deletion would put its finalizer and annotations on the objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from kvsync.adapters.kube.access import Access
from kvsync.adapters.kube.resource import KVEVENTSYNCS

Json = Mapping[str, Any]
OnObject = Callable[[tuple[str, str], Json | None], None]


class NoProgressStorage(kopf.ProgressStorage):
    """Keeps nothing: progress is read from the cluster itself, so nothing is written on objects."""

    def fetch(self, *, key: Any, body: Any) -> None:
        """Nothing is ever stored."""

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        """Store nothing."""

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        """There is nothing to purge."""

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        """Leave the object alone."""

    def clear(self, *, essence: Any) -> Any:
        """Nothing of ours is in the object."""
        return essence


class NoDiffBaseStorage(kopf.DiffBaseStorage):
    """Keeps no last-handled configuration on the object."""

    def fetch(self, *, body: Any) -> None:
        """Nothing is ever stored."""

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        """Store nothing."""


def make_registry(on_object: OnObject, access: Access) -> kopf.OperatorRegistry:
    """The handlers: ``on_object(key, body)`` for each news of an object, body None when it is gone."""
    registry = kopf.OperatorRegistry()
    given: set[str] = set()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        authorization = await access.authorization()
        # kopf asks again only after a 401, and gives up where it is told the same once more.
        if authorization in given and await access.renew(authorization):
            authorization = await access.authorization()
        given.add(authorization or "")
        return connection(access.configuration, authorization)

    @kopf.on.event(KVEVENTSYNCS.group, KVEVENTSYNCS.version, KVEVENTSYNCS.plural, registry=registry)
    async def changed(event: Mapping[str, Any], body: kopf.Body, **_: Any) -> None:
        plain = dict(body)
        key = (plain["metadata"]["namespace"], plain["metadata"]["name"])
        on_object(key, None if event.get("type") == "DELETED" else plain)

    return registry


def connection(configuration: Configuration, authorization: str | None) -> kopf.ConnectionInfo:
    """kopf's own form of the credentials that everything else uses."""
    scheme, _, token = (authorization or "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )


def make_settings() -> kopf.OperatorSettings:
    """kopf, told to write nothing and to look for nothing but our kind."""
    settings = kopf.OperatorSettings()
    settings.persistence.progress_storage = NoProgressStorage()
    settings.persistence.diffbase_storage = NoDiffBaseStorage()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.server_timeout = 300
    settings.watching.connect_timeout = 10
    return settings


async def watch_objects(
    on_object: OnObject,
    access: Access,
    namespaces: tuple[str, ...],
    stop: asyncio.Event,
) -> None:
    """Follow KVEventSync objects until ``stop`` is set. Returns early when kopf gives up."""
    await kopf.operator(
        registry=make_registry(on_object, access),
        settings=make_settings(),
        namespaces=namespaces,
        clusterwide=not namespaces,
        stop_flag=stop,
    )
