"""`Kube`: the verbs of the Kubernetes API, on plain JSON objects as the server sent them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from kvsync.adapters.kube.access import Access, Impersonation
from kvsync.adapters.kube.answer import Json, parse, version_of
from kvsync.adapters.kube.pace import Timing
from kvsync.adapters.kube.resource import PODS, Resource
from kvsync.adapters.kube.transport import MayWrite, OnAnswer, Query, Request, Transport
from kvsync.model.errors import Gone, NotFound
from kvsync.model.record import FIELD_MANAGER

Objects = list[Json]

PAGE = 500
"""Objects per list request, as client-go's pager asks."""

_ESCAPED_BY_GO = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_LOG_LIMIT = 256 * 1024
_LOG_CHUNK = 64 * 1024
_LOG_TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=5)
_MERGE_PATCH = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list answered: the objects, and the resource version of the whole at that moment."""

    objects: Objects
    version: int


class Kube:
    """One API server. Every method raises branches of `kvsync.model.errors.ApiError`.

    ``namespace`` is the current one: the kubeconfig context's, or the pod's own; ``pod_namespace`` that of
    the pod which this is, empty where a kubeconfig shows the way. What is repeated
    on failure, and what is not, says `Transport.answer`. ``on_answer`` is told of each request.
    ``may_write`` is asked before each write: where it says no, NotLeading is raised and nothing is
    sent. ``instance`` names this process in the API server's audit log.
    """

    def __init__(
        self,
        access: Access,
        timing: Timing | None = None,
        on_answer: OnAnswer | None = None,
        *,
        may_write: MayWrite | None = None,
        instance: str = "",
    ) -> None:
        self.namespace = access.namespace
        self.pod_namespace = access.pod_namespace
        self._transport = Transport(
            access, timing or Timing(), on_answer, may_write=may_write, instance=instance
        )

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        impersonation: Impersonation | None = None,
    ) -> Kube:
        """Find the API server where kubectl would; None means its defaults, then the pod's own.

        Nothing is sent yet.

        Raises:
            AccessError: no usable kubeconfig or service account.
        """
        return cls(await Access.find(kubeconfig, context, impersonation))

    @property
    def host(self) -> str:
        """The API server's address."""
        return self._transport.host

    async def close(self) -> None:
        """Close all connections; running requests fail."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """Read one object."""
        doing = f"GET {resource.where(namespace, name)}"
        return await self._ask(Request("GET", resource.item(namespace, name), doing))

    async def get_path(self, path: str) -> Json:
        """Read the JSON answer at a path of the server's own, such as ``/version``."""
        return await self._ask(Request("GET", path, f"GET {path}"))

    async def serves(self, resource: Resource) -> bool:
        """Whether the API server knows this kind."""
        try:
            listed = await self.get_path(resource.root)
        except NotFound:
            return False
        return any(each.get("name") == resource.plural for each in listed.get("resources") or ())

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = PAGE,
    ) -> Objects:
        """Read all objects, of one namespace or of all; ``limit`` is the page size, 0 for one page.

        Items carry no ``kind`` and ``apiVersion``: the API server leaves them out of lists.
        """
        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        return (await self._listed(resource, namespace, query, limit)).objects

    async def listing(self, resource: Resource, namespace: str | None = None) -> Listing:
        """All objects, and the moment at which they stood so."""
        return await self._listed(resource, namespace, {}, PAGE)

    async def _listed(
        self, resource: Resource, namespace: str | None, query: Query, limit: int
    ) -> Listing:
        try:
            pages = [page async for page in self.pages(resource, namespace, query, limit)]
        except Gone:  # a page token aged out; one page cannot
            pages = [page async for page in self.pages(resource, namespace, query, 0)]
        return Listing([item for page in pages for item in items(page)], version_of(pages[0]))

    async def pages(
        self, resource: Resource, namespace: str | None, query: Query, limit: int = PAGE
    ) -> AsyncIterator[Json]:
        """The pages of one consistent list.

        Raises:
            Gone: a page token outlived the server's history (5 minutes by default): begin anew,
                best with ``limit`` 0, which is one page and cannot expire.
        """
        path, doing = resource.collection(namespace), f"LIST {resource.where(namespace)}"
        query = {**query, "limit": limit or None}
        while True:
            request = Request("GET", path, doing, query)
            page = resource.shape.page(await self._transport.answer(request), doing)
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            query = {**query, "continue": token}

    async def create(
        self,
        resource: Resource,
        namespace: str | None,
        body: Mapping[str, Any],
        *,
        dry_run: bool = False,
    ) -> Json:
        """Create an object. Conflict (reason ``AlreadyExists``) when the name is taken."""
        name = body.get("metadata", {}).get("name", "")
        doing = f"CREATE {resource.where(namespace, name)}"
        path = resource.collection(namespace)
        return await self._ask(Request("POST", path, doing, _write(dry_run), encode(body)))

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]
    ) -> Json:
        """Write an object as a whole. Conflict when it changed since ``metadata.resourceVersion``."""
        path, doing = resource.item(namespace, name), f"UPDATE {resource.where(namespace, name)}"
        return await self._ask(Request("PUT", path, doing, _write(dry_run=False), encode(body)))

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        propagation: str = "Background",
    ) -> Json:
        """Ask for an object's deletion; with ``uid`` only of that one (else Conflict)."""
        options: Json = {"propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        doing = f"DELETE {resource.where(namespace, name)}"
        path = resource.item(namespace, name)
        return await self._ask(Request("DELETE", path, doing, body=encode(options)))

    async def evict(self, namespace: str, pod: str, *, uid: str) -> None:
        """Have a pod deleted, this very one, where no PodDisruptionBudget forbids it.

        Raises:
            TooManyRequests: one forbids it for now. It is asked once: whoever asks comes again.
        """
        body: Json = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        path, doing = PODS.item(namespace, pod, "eviction"), f"EVICT {PODS.where(namespace, pod)}"
        request = Request("POST", path, doing, _write(dry_run=False), encode(body))
        async with self._transport.open(request) as response:
            await response.read()

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        ops: Sequence[Mapping[str, Any]],
        subresource: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Json:
        """RFC 6902. Invalid with ``patch_did_not_fit`` when a ``test`` failed."""
        target = (resource, namespace, name, subresource)
        return await self._patch(target, _JSON_PATCH, [*ops], _write(dry_run))

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        subresource: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Json:
        """RFC 7386: objects are merged, lists replaced, null removes.

        With ``metadata.resourceVersion`` in the body: Conflict when the object changed meanwhile.
        """
        target = (resource, namespace, name, subresource)
        return await self._patch(target, _MERGE_PATCH, body, _write(dry_run))

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        subresource: str | None = None,
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> Json:
        """Server-side apply: creates or updates; ``force`` takes fields from other managers."""
        target = (resource, namespace, name, subresource)
        return await self._patch(target, _APPLY_PATCH, body, {**_write(dry_run), "force": force})

    async def _patch(
        self,
        target: tuple[Resource, str | None, str, str | None],
        content_type: str,
        body: object,
        query: Query,
    ) -> Json:
        resource, namespace, name, subresource = target
        path = resource.item(namespace, name, subresource)
        doing = f"PATCH {resource.where(namespace, name)}"
        return await self._ask(Request("PATCH", path, doing, query, encode(body), content_type))

    async def pod_log(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        tail_lines: int = 50,
        previous: bool = False,
        limit_bytes: int = _LOG_LIMIT,
    ) -> str:
        """The end of a container's log, or of the run before this one. Untrusted text."""
        query: Query = {
            "container": container,
            "tailLines": tail_lines,
            "previous": previous or None,
            "limitBytes": limit_bytes,
        }
        path = PODS.item(namespace, pod, "log")
        doing = f"LOG {PODS.where(namespace, pod)}"
        said = await self._transport.answer(Request("GET", path, doing, query))
        return said[:limit_bytes].decode(errors="replace")

    async def pod_log_from(
        self, namespace: str, pod: str, container: str, since: str, limit_bytes: int
    ) -> bytes:
        """The first bytes of a container's log from a moment on (RFC 3339; empty: from its start),
        each line behind its time. Untrusted bytes. Asked once: whoever reads a log comes again."""
        query: Query = {
            "container": container,
            "timestamps": True,
            "sinceTime": since or None,
            "limitBytes": limit_bytes,
        }
        path = PODS.item(namespace, pod, "log")
        doing = f"LOG {PODS.where(namespace, pod)}"
        said = bytearray()
        async with self._transport.open(
            Request("GET", path, doing, query, timeout=_LOG_TIMEOUT)
        ) as response:
            async for chunk in response.content.iter_chunked(_LOG_CHUNK):
                said += chunk
                if len(said) >= limit_bytes:
                    break
        return bytes(said[:limit_bytes])

    @asynccontextmanager
    async def stream(
        self,
        resource: Resource,
        namespace: str | None,
        query: Query,
        timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Open a watch, once; what breaks while it is read is an ApiError too."""
        path, doing = resource.collection(namespace), f"WATCH {resource.where(namespace)}"
        request = Request("GET", path, doing, {**query, "watch": True}, timeout=timeout)
        async with self._transport.open(request) as response:
            yield response.content

    async def _ask(self, request: Request) -> Json:
        return parse(await self._transport.answer(request), request.doing)


def items(page: Json) -> Objects:
    """The objects of a list's page."""
    found = page.get("items")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def encode(body: object) -> bytes:
    """A request's body; NaN, which is no JSON, is refused here and not by the server.

    Texts are escaped as Go escapes them (``encoding/json``): the API server compares the value of a
    JSON patch's ``test`` with its own encoding byte by byte, so that ``>`` and ``\\u003e``, the
    same text, would be two values to it.
    """
    text = json.dumps(body, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.translate(_ESCAPED_BY_GO).encode()


def _write(dry_run: bool) -> Query:
    return {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else None}
