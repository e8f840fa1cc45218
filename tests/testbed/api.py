"""A thin client of the API server for tests and the demo: raw objects in, raw objects out.

It is separate from the operator's own adapters on purpose: what checks the operator must not
share its mistakes.
"""

import base64
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
import yaml

from testbed.resources import Resource, Resources
from testbed.waiting import wait_for

__all__ = ["Api", "ApiError", "Object", "entrance", "objects_of", "wait_for"]

Object = dict[str, Any]
Objects = list[Object]
Source = str | Path | Object | Iterable[Object]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
ADMIN_AGENT = "kvsync-testbed"


class ApiError(RuntimeError):
    """The API server refused: ``code`` is the HTTP status, ``status`` the Status object."""

    def __init__(self, method: str, path: str, code: int, body: bytes) -> None:
        try:
            self.status: Object = json.loads(body)
        except ValueError:
            self.status = {"message": body.decode(errors="replace")[:500]}
        self.code = code
        self.reason: str = self.status.get("reason", "")
        message = self.status.get("message", "")
        super().__init__(f"{method} {path}: {code} {self.reason}: {message}")


class Api:
    """The API server as the user of one kubeconfig sees it.

    ``kind`` is what kubectl takes: ``pod``, ``pods``, ``po``, ``deployments.apps``, ``Deployment``.
    """

    def __init__(self, kubeconfig: Path, *, user_agent: str = ADMIN_AGENT) -> None:
        self.kubeconfig = kubeconfig
        self.server, tls, proof = entrance(kubeconfig)
        headers = {"User-Agent": user_agent, "Accept": "application/json", **proof}
        self._pool = urllib3.PoolManager(ssl_context=tls, headers=headers, maxsize=8, retries=False)
        self._resources = Resources(self.request)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Any:
        """One request; the answer's JSON, or its text. Raises ApiError from status 400 on."""
        data = self.raw(
            method, path, body, content_type=content_type, headers=headers, timeout=timeout
        )
        try:
            return json.loads(data)
        except ValueError:
            return data.decode(errors="replace")

    def raw(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> bytes:
        """One request; the answer's bytes. Raises ApiError from status 400 on."""
        sent = {**self._pool.headers, "Content-Type": content_type, **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        url = self.server + path
        answer = self._pool.request(method, url, body=data, headers=sent, timeout=timeout)
        if answer.status >= 400:
            raise ApiError(method, path, answer.status, answer.data)
        return answer.data

    def watch(self, path: str, revision: int, *, seconds: int = 20) -> Iterator[Object]:
        """The events of a collection behind a resourceVersion, bookmarks too, for so many seconds.

        Raises ApiError, 410 where the server has forgotten that place, and urllib3's HTTPError.
        """
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        url = f"{self.server}{path}{_query({**query, 'resourceVersion': str(revision)})}"
        answer = self._pool.request(
            "GET", url, headers=self._pool.headers, timeout=seconds + 10.0, preload_content=False
        )
        try:
            if answer.status >= 400:
                raise ApiError("GET", path, answer.status, answer.read())
            rest = b""
            for piece in answer.stream(65536):
                *lines, rest = (rest + piece).split(b"\n")
                yield from map(json.loads, lines)
        finally:
            answer.close()

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        """The object. Raises ApiError (404) when it is not there."""
        return self._object(self.request("GET", self._path(kind, name, namespace)))

    def find(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """The object, or None when it is not there."""
        try:
            return self.get(kind, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(
        self, kind: str, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Objects:
        """The objects of a kind, in one namespace or in all; ``labels``, ``fields``: selectors."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        path = self._path(kind, "", namespace)
        answer = self.request("GET", path + _query(query))
        return [self._object(item) for item in answer["items"]]

    def create(self, body: Object, namespace: str = "") -> Object:
        """Create one object; its own namespace wins over ``namespace``."""
        return self._object(self.request("POST", self._path_of(body, namespace, named=False), body))

    def create_all(self, source: Source, namespace: str = "") -> Objects:
        """Create every object of a YAML file, a YAML text or a list, in order."""
        return [self.create(body, namespace) for body in objects_of(source)]

    def apply(
        self, source: Source, namespace: str = "", *, manager: str = "testbed", force: bool = True
    ) -> Objects:
        """Server-side apply of every object of a YAML file, a YAML text or a list, in order.

        It leaves ``Apply`` entries in managedFields. Where an object must look as if made by
        other means, use :meth:`create_all` or ``kubectl("apply", "-f", …)``.
        """
        query = {"fieldManager": manager, "force": str(force).lower()}
        applied = []
        for body in objects_of(source):
            path = self._path_of(body, namespace, named=True) + _query(query)
            applied.append(self.request("PATCH", path, body, content_type=APPLY))
        return applied

    def replace(self, body: Object, *, subresource: str = "") -> Object:
        """PUT the whole object (or its subresource), guarded by its resourceVersion."""
        path = self._path_of(body, "", named=True) + (f"/{subresource}" if subresource else "")
        return self._object(self.request("PUT", path, body))

    def patch(
        self,
        kind: str,
        name: str,
        patch: object,
        namespace: str = "",
        *,
        subresource: str = "",
        content_type: str = "",
        manager: str = "testbed",
    ) -> Object:
        """Patch an object: a dict merges (RFC 7386), a list is a JSON patch (RFC 6902)."""
        path = self._path(kind, name, namespace) + (f"/{subresource}" if subresource else "")
        chosen = content_type or (JSON_PATCH if isinstance(patch, list) else MERGE)
        query = _query({"fieldManager": manager})
        return self._object(self.request("PATCH", path + query, patch, content_type=chosen))

    def delete(
        self, kind: str, name: str, namespace: str = "", *, grace: int | None = None
    ) -> None:
        """Delete an object; absent is fine. ``grace``: seconds, the object's own by default."""
        body: Object = {} if grace is None else {"gracePeriodSeconds": grace}
        body["propagationPolicy"] = "Background"
        try:
            self.request("DELETE", self._path(kind, name, namespace), body)
        except ApiError as error:
            if error.code != 404:
                raise

    def logs(
        self,
        pod: str,
        namespace: str,
        *,
        container: str = "",
        tail: int = 0,
        previous: bool = False,
    ) -> str:
        """What a container wrote; ``tail``: only so many last lines."""
        query = {
            "container": container,
            "tailLines": str(tail or ""),
            "previous": "true" if previous else "",
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        return self.raw("GET", path + _query(query)).decode(errors="replace")

    def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run the real kubectl as this user; raises RuntimeError with its words when it fails."""
        done = subprocess.run(
            [find_kubectl(), *args],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done

    def _object(self, answer: Any) -> Object:
        if not isinstance(answer, dict):
            raise TypeError(f"the API server answered {str(answer)[:200]!r}, not an object")
        return answer

    def _path(self, kind: str, name: str, namespace: str) -> str:
        return _path(self._resources.find(kind), name, namespace)

    def _path_of(self, body: Object, namespace: str, *, named: bool) -> str:
        resource = self._resources.of(body["apiVersion"], body["kind"])
        metadata = body["metadata"]
        where = metadata.get("namespace") or namespace or "default"
        return _path(resource, metadata["name"] if named else "", where)


def rolled_out(deployment: Object) -> bool:
    """Whether every pod of a Deployment is of its current template and available."""
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(k, 0) for k in ("updatedReplicas", "availableReplicas", "replicas")]
    return bool(seen) and counts == [wanted] * 3


def objects_of(source: Source) -> Objects:
    """The objects of a YAML file (a Path), a YAML text (a str), one object or several."""
    if isinstance(source, dict):
        return [source]
    if isinstance(source, Path):
        source = source.read_text()
    documents = yaml.safe_load_all(source) if isinstance(source, str) else source
    found: Objects = []
    for document in documents:
        if document and document.get("kind") == "List":
            found.extend(document["items"])
        elif document:
            found.append(document)
    return found


def entrance(kubeconfig: Path) -> tuple[str, ssl.SSLContext, dict[str, str]]:
    """The server of a kubeconfig, its TLS, and the headers by which its user is known."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    return cluster["server"], _tls(cluster, user), headers


def find_kubectl() -> str:
    """The kubectl beside this Python, else the one on PATH. Raises RuntimeError without either."""
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which(
        "kubectl"
    )
    if not found:
        raise RuntimeError("no kubectl: install the locked dependencies (make setup)")
    return found


def _path(resource: Resource, name: str, namespace: str) -> str:
    if resource.namespaced and name:
        namespace = namespace or "default"
    where = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
    return f"{resource.base}{where}/{resource.plural}" + (f"/{quote(name)}" if name else "")


def _query(values: Mapping[str, str]) -> str:
    given = {key: value for key, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""


def _tls(cluster: Object, user: Object) -> ssl.SSLContext:
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    if "client-certificate-data" in user:
        # ssl reads a client's certificate from a file only.
        with tempfile.NamedTemporaryFile() as file:
            for part in ("client-certificate-data", "client-key-data"):
                file.write(base64.b64decode(user[part]))
            file.flush()
            context.load_cert_chain(file.name)
    return context
