"""One container of a pod: started, probed, and started again as its pod's restart policy says."""

import asyncio
import signal
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp

from testbed.kubelet.client import RefusedError
from testbed.kubelet.fields import ConfigError, Object
from testbed.kubelet.probes import Prober, http_get, port_of, run_in, tcp_open
from testbed.kubelet.process import ContainerProcess
from testbed.kubelet.records import ContainerRecord, Role, Running, Terminated, Waiting

Launch = Callable[[Object, ContainerProcess], Awaitable[None]]

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 10.0
STABLE = 600.0  # seconds of running after which a crash starts a new series


class NoImageError(Exception):
    """The image table has no program for an image."""


class Supervisor:
    """Keeps a container as it should be and its record true. ``changed`` is called after each change."""

    def __init__(
        self,
        container: Object,
        role: Role,
        policy: str,
        grace: float,
        launch: Launch,
        address: Callable[[], str],
        session: aiohttp.ClientSession,
        changed: Callable[[], None],
    ) -> None:
        self.container = container
        self.policy = "Always" if role is Role.SIDECAR else policy
        self.record = ContainerRecord(
            container["name"], container["image"], role, Waiting("PodInitializing")
        )
        self.process = ContainerProcess()
        self.previous: ContainerProcess | None = None
        self.started = asyncio.Event()
        self._grace = grace
        self._killing: asyncio.Task[None] | None = None
        self._launch = launch
        self._address = address
        self._session = session
        self._changed = changed
        self._stopping = False

    async def run(self) -> bool:
        """Run until it need not run again; whether its last run ended with 0."""
        backoff = FIRST_BACKOFF
        while not self._stopping:
            if not await self._start():
                await asyncio.sleep(1.0)
                continue
            begun = asyncio.get_running_loop().time()
            code = await self._live()
            if self._stopping or not self._again(code):
                return code == 0
            ran = asyncio.get_running_loop().time() - begun
            backoff = FIRST_BACKOFF if ran > STABLE else backoff
            self._wait_for_restart(backoff)
            await asyncio.sleep(backoff)
            backoff = min(LONGEST_BACKOFF, backoff * 2)
        return False

    def _again(self, code: int) -> bool:
        if self.record.role is Role.INIT:
            return code != 0 and self.policy != "Never"
        return self.policy == "Always" or (self.policy == "OnFailure" and code != 0)

    async def _start(self) -> bool:
        if self.record.outcome is not None or self.record.restarts:
            self.previous = self.process
        self.process, self._killing = ContainerProcess(), None
        try:
            await self._launch(self.container, self.process)
        except NoImageError as error:
            again = isinstance(self.record.state, Waiting) and "Pull" in self.record.state.reason
            self._wait("ImagePullBackOff" if again else "ErrImagePull", str(error))
            return False
        except ConfigError as error:
            self._wait("CreateContainerConfigError", str(error))
            return False
        except (RefusedError, aiohttp.ClientError, OSError) as error:
            self._wait("RunContainerError", str(error))
            return False
        self.record.container_id = f"process://{uuid.uuid4().hex}"
        self.record.image_id = self.container["image"]
        self.record.state = Running(datetime.now(UTC))
        self._note_started(started="startupProbe" not in self.container)
        return True

    def _note_started(self, *, started: bool) -> None:
        self.record.started = started
        self.record.ready = started and "readinessProbe" not in self.container
        if started:
            self.started.set()
        self._changed()

    async def _live(self) -> int:
        probing = asyncio.create_task(self._probe())
        try:
            code = await self.process.wait()
        finally:
            probing.cancel()
        since = (
            self.record.state.since if isinstance(self.record.state, Running) else datetime.now(UTC)
        )
        self.record.state = Terminated(
            code,
            "Completed" if code == 0 else "Error",
            since,
            datetime.now(UTC),
            self.record.container_id,
            self._message(code),
        )
        self.record.ready = self.record.role is Role.INIT and code == 0
        self.record.started = False
        self._changed()
        return code

    def _message(self, code: int) -> str:
        # The default policy, File, reads /dev/termination-log, which no stand-in writes.
        policy = self.container.get("terminationMessagePolicy")
        told = code != 0 and policy == "FallbackToLogsOnError"
        return self.process.last_words if told else ""

    def _wait_for_restart(self, backoff: float) -> None:
        assert isinstance(self.record.state, Terminated)
        self.record.last = self.record.state
        self.record.restarts += 1
        message = f"back-off {backoff:.0f}s restarting failed container={self.record.name}"
        self._wait("CrashLoopBackOff", message)

    def _wait(self, reason: str, message: str) -> None:
        self.record.state = Waiting(reason, message)
        self._changed()

    async def _probe(self) -> None:
        if "startupProbe" in self.container:
            await self._await_startup(self.container["startupProbe"])
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in self.container:
                prober = Prober(self.container["readinessProbe"], self._attempt)
                group.create_task(prober.run(self._take_readiness))
            if "livenessProbe" in self.container:
                prober = Prober(self.container["livenessProbe"], self._attempt)
                group.create_task(prober.run(self._take_liveness))

    async def _await_startup(self, probe: Object) -> None:
        passed = asyncio.Event()

        def take(up: bool) -> None:
            if up:
                passed.set()
            else:
                self._take_liveness(up)

        running = asyncio.create_task(Prober(probe, self._attempt).run(take))
        try:
            await passed.wait()
        finally:
            running.cancel()
        self._note_started(started=True)

    def _take_readiness(self, up: bool) -> None:
        if self.record.ready != up and self.record.running:
            self.record.ready = up
            self._changed()

    def _take_liveness(self, up: bool) -> None:
        if not up and not self._killing:
            self._killing = asyncio.create_task(self._terminate(self._grace))

    async def _attempt(self, probe: Object, timeout: float) -> bool:
        if "httpGet" in probe:
            get = probe["httpGet"]
            port = port_of(get["port"], self.container)
            scheme = get.get("scheme", "HTTP").lower()
            path = get.get("path", "/")
            return await http_get(
                self._session, f"{scheme}://{self._address()}:{port}{path}", timeout
            )
        if "tcpSocket" in probe:
            port = port_of(probe["tcpSocket"]["port"], self.container)
            return await tcp_open(self._address(), port, timeout)
        return await run_in(self.process, probe["exec"]["command"], timeout)

    def logged(self, *, previous: bool) -> ContainerProcess | None:
        """The run whose lines are asked for; between two runs the last one is both of them."""
        if previous and isinstance(self.record.state, Running):
            return self.previous
        if previous and self.record.last is None:
            return None
        return self.process

    async def stop(self, grace: float) -> None:
        """End it: preStop, SIGTERM, and SIGKILL after ``grace`` seconds."""
        self._stopping = True
        hook = ((self.container.get("lifecycle") or {}).get("preStop") or {}).get("exec")
        if hook:
            await run_in(self.process, hook["command"], grace)
        await self._terminate(grace)

    async def _terminate(self, grace: float) -> None:
        self.process.send(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.process.wait()
                return
        self.process.send(signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self.process.wait()
