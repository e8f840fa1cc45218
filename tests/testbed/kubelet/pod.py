"""One pod: its network and volumes, its containers in their order, its status, and its end."""

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from testbed.kubelet.client import STRATEGIC, Client, RefusedError
from testbed.kubelet.environment import Reference, Sources, environment, references
from testbed.kubelet.fields import ConfigError, Object, field_value
from testbed.kubelet.images import IMAGE_VARIABLE, ImageTable, command_line
from testbed.kubelet.mounts import plan_mounts
from testbed.kubelet.process import ContainerProcess
from testbed.kubelet.records import Role
from testbed.kubelet.status import PodFacts, keep_transitions, pod_status
from testbed.kubelet.supervisor import NoImageError, Supervisor
from testbed.network import Attachment, Network

KINDS = {"configmap": "configmaps", "secret": "secrets"}
TOKEN_SECONDS = 86400  # not renewed: a bed lives for less than a day
SIDECAR_GRACE = 2.0  # seconds
QUIET = 0.02  # seconds that changes are collected for before the status is written
RETRY = 0.5  # seconds until what did not get through is tried again

log = logging.getLogger(__name__)


class PodRunner:
    """Runs one pod from its binding to its end."""

    def __init__(
        self,
        pod: Object,
        client: Client,
        network: Network,
        images: ImageTable,
        state: Path,
        forget: Callable[[str], None],
    ) -> None:
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.namespace: str = pod["metadata"]["namespace"]
        self.name: str = pod["metadata"]["name"]
        self._client = client
        self._network = network
        self._images = images
        self._volumes = state / self.uid
        self._forget = forget
        self._attachment: Attachment | None = None
        self._start_time = datetime.now(UTC)
        self._dirty = asyncio.Event()
        self._written: Object | None = None
        self._ending: asyncio.Task[None] | None = None
        self.supervisors = [self._supervisor(container, role) for container, role in _roles(pod)]
        self._runs: list[asyncio.Task[bool]] = []
        self._tasks = [
            asyncio.create_task(self._write_status()),
            asyncio.create_task(self._run()),
        ]

    def _supervisor(self, container: Object, role: Role) -> Supervisor:
        spec = self.pod["spec"]
        return Supervisor(
            container,
            role,
            spec.get("restartPolicy", "Always"),
            float(spec.get("terminationGracePeriodSeconds", 30)),
            self._launch,
            lambda: self._attachment.address if self._attachment else "",
            self._client.session,
            self._dirty.set,
        )

    def container(self, name: str) -> Supervisor | None:
        """The supervisor of a container."""
        return next((s for s in self.supervisors if s.record.name == name), None)

    def update(self, pod: Object) -> None:
        """Take news of the pod; a deletion timestamp begins its end."""
        self.pod = pod
        self._dirty.set()
        if pod["metadata"].get("deletionTimestamp") and self._ending is None:
            grace = pod["metadata"].get("deletionGracePeriodSeconds", 30)
            self._ending = asyncio.create_task(self._end(float(grace)))

    def vanish(self) -> None:
        """The object is gone: end at once."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(0.0))

    async def _run(self) -> None:
        self._attachment = await self._network.attach()
        self._dirty.set()
        await self._mount()
        mains = await self._start_containers()
        await asyncio.gather(*mains)
        if self._ending is None:
            grace = float(self.pod["spec"].get("terminationGracePeriodSeconds", 30))
            await self._stop_sidecars(grace, grace)

    async def _start_containers(self) -> list[asyncio.Task[bool]]:
        """Start them one after the other; the runs of the main ones, none where an init one failed."""
        for each in self.supervisors:
            task = asyncio.create_task(each.run())
            self._runs.append(task)
            if each.record.role is Role.INIT and not await task:
                return []
            if each.record.role is Role.SIDECAR:
                await each.started.wait()
        return [
            task
            for task, each in zip(self._runs, self.supervisors, strict=True)
            if each.record.role is Role.MAIN
        ]

    async def _mount(self) -> None:
        """Make the volumes, waiting (ContainerCreating) while a ConfigMap or Secret is missing."""
        self._volumes.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                return await self._make_volumes()
            except (ConfigError, RefusedError, aiohttp.ClientError, TimeoutError) as error:
                log.warning("%s/%s: volumes: %s", self.namespace, self.name, error)
            await asyncio.sleep(RETRY)

    async def _make_volumes(self) -> None:
        for volume in self.pod["spec"].get("volumes", ()):
            folder = self._volumes / volume["name"]
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in (await self._content(volume)).items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)

    async def _content(self, volume: Object) -> dict[str, str]:
        if "configMap" in volume:
            return await self._files("configmap", volume["configMap"]["name"], volume["configMap"])
        if "secret" in volume:
            return await self._files("secret", volume["secret"]["secretName"], volume["secret"])
        found: dict[str, str] = {}
        for source in (volume.get("projected") or {}).get("sources", ()):
            found |= await self._projected(source)
        return found

    async def _projected(self, source: Object) -> dict[str, str]:
        if "serviceAccountToken" in source:
            return {source["serviceAccountToken"]["path"]: await self._token()}
        for field, kind in (("configMap", "configmap"), ("secret", "secret")):
            if field in source:
                return await self._files(kind, source[field]["name"], source[field])
        items = (source.get("downwardAPI") or {}).get("items", ())
        return {i["path"]: field_value(i["fieldRef"]["fieldPath"], self.pod) for i in items}

    async def _token(self) -> str:
        account = self.pod["spec"].get("serviceAccountName", "default")
        reference = {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": self.uid}
        body = {"spec": {"expirationSeconds": TOKEN_SECONDS, "boundObjectRef": reference}}
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token"
        answer = await self._client.request("POST", path, body)
        return str(answer["status"]["token"])

    async def _files(self, kind: str, name: str, source: Object) -> dict[str, str]:
        sources = await self._sources([(kind, name)])
        data = sources.data((kind, name), optional=bool(source.get("optional"))) or {}
        items = source.get("items") or [{"key": key, "path": key} for key in data]
        return {item["path"]: data[item["key"]] for item in items if item["key"] in data}

    async def _sources(self, wanted: Iterable[Reference]) -> Sources:
        fetched = {reference: await self._fetch(reference) for reference in wanted}
        return Sources(self.namespace, {r: o for r, o in fetched.items() if o is not None})

    async def _fetch(self, reference: Reference) -> Object | None:
        kind, name = reference
        try:
            return await self._client.request(
                "GET", f"/api/v1/namespaces/{self.namespace}/{KINDS[kind]}/{name}"
            )
        except RefusedError as error:
            if error.code == 404:
                return None
            raise

    async def _launch(self, container: Object, process: ContainerProcess) -> None:
        image = self._images.find(container["image"])
        if image is None:
            raise NoImageError(
                f'no program stands for image "{container["image"]}": add it to the image table'
            )
        if image.pull_seconds:
            await asyncio.sleep(image.pull_seconds)
        assert self._attachment is not None
        sources = await self._sources(references(container))
        addressed = {**self.pod, "status": {**self.pod.get("status", {}), **self._addresses()}}
        services = {
            "KUBERNETES_SERVICE_HOST": self._network.address,
            "KUBERNETES_SERVICE_PORT": str(self._network.apiserver_port),
        }
        own = environment(container, addressed, sources, services)
        names = [volume["name"] for volume in self.pod["spec"].get("volumes", ())]
        mounts = plan_mounts(container, names, os.path.exists)
        words = command_line(image, container.get("command", ()), container.get("args", ()), own)
        if not words:
            raise ConfigError("no command specified")
        variables = {"HOSTNAME": self.name, IMAGE_VARIABLE: container["image"], **image.env, **own}
        variables.setdefault("PATH", os.defpath)
        folder = container.get("workingDir", "/")
        await process.start(self._attachment.path, words, variables, mounts, self._volumes, folder)

    def _addresses(self) -> Object:
        address = self._attachment.address if self._attachment else ""
        return {"podIP": address, "podIPs": [{"ip": address}], "hostIP": self._network.address}

    async def _write_status(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(QUIET)
            self._dirty.clear()
            try:
                await self._report(stopped=False)
            except RefusedError as error:
                log.warning("%s/%s: status: %s", self.namespace, self.name, error)
            except (aiohttp.ClientError, OSError, TimeoutError):
                await asyncio.sleep(RETRY)
                self._dirty.set()

    async def _report(self, *, stopped: bool) -> None:
        address = self._attachment.address if self._attachment else ""
        facts = PodFacts(self.pod, self._network.address, address, self._start_time, stopped)
        records = [each.record for each in self.supervisors]
        status = keep_transitions(pod_status(facts, records, datetime.now(UTC)), self._written)
        if status == self._written:
            return
        path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}/status"
        body = {"metadata": {"uid": self.uid}, "status": status}
        await self._client.request("PATCH", path, body, STRATEGIC)
        self._written = status

    async def _stop_sidecars(self, grace: float, left: float) -> None:
        """Stop them in the order opposite to their start, with what is ``left`` of the pod's grace.

        Kubernetes leaves each of them 2 s at least (pkg/kubelet/kuberuntime, killContainer).
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + left
        for each in reversed([s for s in self.supervisors if s.record.role is Role.SIDECAR]):
            await each.stop(max(deadline - loop.time(), min(grace, SIDECAR_GRACE)))

    async def _end(self, grace: float) -> None:
        asked = asyncio.get_running_loop().time()
        mains = [s for s in self.supervisors if s.record.role is not Role.SIDECAR]
        await asyncio.gather(*(each.stop(grace) for each in mains))
        await self._stop_sidecars(grace, asked + grace - asyncio.get_running_loop().time())
        for task in (*self._tasks, *self._runs):
            task.cancel()
        if self._attachment is not None:
            await self._network.detach(self._attachment)
        shutil.rmtree(self._volumes, ignore_errors=True)
        with contextlib.suppress(RefusedError, OSError, TimeoutError):
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
            path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
            await self._client.request("DELETE", path, options)
        self._forget(self.uid)


def _roles(pod: Object) -> list[tuple[Object, Role]]:
    found = [
        (c, Role.SIDECAR if c.get("restartPolicy") == "Always" else Role.INIT)
        for c in pod["spec"].get("initContainers", ())
    ]
    return [*found, *((c, Role.MAIN) for c in pod["spec"]["containers"])]
