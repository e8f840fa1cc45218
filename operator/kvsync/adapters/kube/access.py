"""Finds an API server and the credentials for it, and keeps the credentials fresh.

Reading kubeconfig files, exec plugins and service accounts is the ``kubernetes`` library's work
(kubernetes.aio.config). Its refresh hooks cover only the service account's token, so everything
is loaded anew instead: shortly before a plugin's token expires, every minute for other tokens
(they rotate on disk), and at once after a 401.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME, SERVICE_TOKEN_FILENAME

from kvsync.model.errors import AccessError

log = logging.getLogger(__name__)

RELOAD_PERIOD = 60.0
"""Seconds between reads of a token that says nothing of its end; the kubelet's own period."""
EXPIRY_MARGIN = 300.0
"""Seconds before a plugin's token expires at which it is replaced (as the library does)."""
SHORTEST_RELOAD = 5.0
"""Seconds between two loads at least, so that a broken plugin is not run for every request."""


def in_a_pod() -> bool:
    """Whether this runs in a container of a cluster: the kubelet sets the variable in every one
    (Kubernetes, ``Service``: environment variables)."""
    return SERVICE_HOST_ENV_NAME in os.environ


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Whom to act as, as kubectl's ``--as`` and ``--as-group`` say; an empty ``user`` is nobody else."""

    user: str = ""
    groups: tuple[str, ...] = ()

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of each request (Kubernetes, "User impersonation")."""
        if not self.user:
            return ()
        return (
            ("Impersonate-User", self.user),
            *(("Impersonate-Group", group) for group in self.groups),
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load gave; ``expires`` is a UNIX time, or None when it is not known.

    ``pod_namespace``: that of the pod whose service account it is, as its volume says; else empty.
    ``impersonation``: whom the kubeconfig's user wants to act as.
    """

    configuration: Configuration
    namespace: str
    expires: float | None = None
    pod_namespace: str = ""
    impersonation: Impersonation = Impersonation()

    @property
    def authorization(self) -> str | None:
        """Value of the Authorization header; None when a client certificate speaks for us."""
        token = self.configuration.api_key.get("BearerToken")
        return token.strip() if token else None


class Access:
    """The way to one API server: ``configuration`` for the transport, a header per request.

    ``namespace`` is the current one, for commands; ``pod_namespace`` that of the pod which this is,
    empty where a kubeconfig shows the way: it may lead to another cluster.
    """

    def __init__(
        self,
        loaded: Loaded,
        load: Callable[[], Awaitable[Loaded]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.configuration = loaded.configuration
        self.namespace = loaded.namespace
        self.pod_namespace = loaded.pod_namespace
        self.impersonation = loaded.impersonation
        self._load = load
        self._clock = clock
        self._lock = asyncio.Lock()
        self._take(loaded)

    @classmethod
    async def find(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        impersonation: Impersonation | None = None,
    ) -> Access:
        """Look where kubectl looks: the argument, ``KUBECONFIG``, ``~/.kube/config``, the pod.

        ``impersonation`` wins over what the kubeconfig's user says (``as``, ``as-groups``).

        Raises:
            AccessError: nothing usable was found; says what was tried.
        """
        files = _files(kubeconfig)

        async def load() -> Loaded:
            return await _from_files(files, context) if files else _from_pod()

        if not files and (context or not in_a_pod()):
            raise AccessError(
                "no kubeconfig: KUBECONFIG names no file that exists, ~/.kube/config does not "
                "exist, and this is no pod with a service account; set KUBECONFIG or give "
                "--kubeconfig FILE"
            )
        access = cls(await load(), load)
        if impersonation is not None:
            access.impersonation = impersonation
        return access

    async def authorization(self) -> str | None:
        """The Authorization header's value for a request made now."""
        if self._is_past(self._due):
            await self._reload(self._loaded)
        return self._loaded.authorization

    async def renew(self, refused: str | None) -> bool:
        """After a 401 on ``refused``: whether there is another header value to try."""
        if self._loaded.authorization == refused and self._is_past(self._earliest):
            await self._reload(self._loaded)
        return self._loaded.authorization != refused

    def _is_past(self, moment: float) -> bool:
        """A clock that was set back since the last load tells nothing of what has passed."""
        now = self._clock()
        return now >= moment or now < self._taken

    async def _reload(self, seen: Loaded) -> None:
        async with self._lock:
            if self._loaded is not seen:  # another request did it while this one waited
                return
            try:
                self._take(await self._load())
            except AccessError as error:
                log.warning("keeping the credentials at hand: %s", error)
                self._take(seen)

    def _take(self, loaded: Loaded) -> None:
        now = self._taken = self._clock()
        self._loaded = loaded
        self._earliest = now + SHORTEST_RELOAD
        self._due = due(loaded, now)


def due(loaded: Loaded, now: float) -> float:
    """When credentials should be loaded again, as UNIX time."""
    if loaded.authorization is None:
        return float("inf")  # certificates: the transport holds them for its lifetime
    if loaded.expires is None:
        return now + RELOAD_PERIOD
    return max(now + SHORTEST_RELOAD, loaded.expires - EXPIRY_MARGIN)


def _files(kubeconfig: str | None) -> str:
    """The kubeconfig files to merge, joined as in ``KUBECONFIG``; empty when there are none."""
    if kubeconfig:
        if not Path(kubeconfig).expanduser().is_file():
            raise AccessError(f"kubeconfig {kubeconfig} does not exist; check --kubeconfig")
        return kubeconfig
    named = os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(each).expanduser() for each in named.split(os.pathsep) if each]
    return os.pathsep.join(str(path) for path in paths if path.is_file())


async def _from_files(files: str, context: str | None) -> Loaded:
    configuration = Configuration()
    try:
        loader = await load_kube_config(  # type: ignore[no-untyped-call]
            config_file=files,
            context=context or _current_context(files),
            client_configuration=configuration,
            persist_config=False,  # a user's file is not ours to rewrite
        )
        chosen = loader.current_context["context"]
    except Exception as error:
        raise AccessError(f"kubeconfig {files} cannot be used: {_told(error)}") from None
    _require_plugin_result(loader, configuration, files)
    expiry = getattr(loader, "exec_plugin_expiry", None)
    return Loaded(
        configuration,
        chosen.get("namespace") or "default",
        expiry.timestamp() if expiry else None,
        impersonation=_impersonation(loader),
    )


def _impersonation(loader: object) -> Impersonation:
    # The library leaves these out, and a user who asked for fewer rights would have all.
    node = getattr(loader, "_user", None)
    user = getattr(node, "value", None) or {}
    if "as-uid" in user or "as-user-extra" in user:
        raise AccessError(
            "the kubeconfig's as-uid and as-user-extra are not supported; take them out"
        )
    groups = user.get("as-groups") or ()
    return Impersonation(str(user.get("as") or ""), tuple(map(str, groups)))


def _current_context(files: str) -> str | None:
    # kubectl takes the first file that names one; the library would take the last.
    for path in files.split(os.pathsep):
        said = yaml.safe_load(Path(path).read_text()) or {}
        if said.get("current-context"):
            return str(said["current-context"])
    return None


def _require_plugin_result(loader: object, configuration: Configuration, files: str) -> None:
    # The library logs a failed exec plugin and goes on without credentials: as system:anonymous.
    user = getattr(loader, "_user", None)
    has_credentials = configuration.api_key or configuration.cert_file
    if user is not None and "exec" in user and not has_credentials:
        raise AccessError(
            f"the credential plugin of kubeconfig {files} gave no credentials (its error is "
            "logged above); run `kubectl get --raw /version` with the same file"
        )


def _from_pod() -> Loaded:
    configuration = Configuration()
    try:
        load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration, try_refresh_token=False
        )
    except Exception as error:
        raise AccessError(f"the pod's service account cannot be used: {_told(error)}") from None
    own = _pod_namespace()
    return Loaded(configuration, own or "default", pod_namespace=own)


def _pod_namespace() -> str:
    try:
        return Path(SERVICE_TOKEN_FILENAME).with_name("namespace").read_text().strip()
    except OSError:
        return ""


def _told(error: Exception) -> str:
    # The library names a node of a merged file by its whole content, tokens and keys included.
    said = str(error).partition("{")[0].splitlines()
    return f"{type(error).__name__}: {said[0] if said else ''}".rstrip(": ")
