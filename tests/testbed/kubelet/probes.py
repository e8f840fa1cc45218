"""Startup, readiness and liveness probes of one container (Kubernetes pkg/kubelet/prober)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from testbed.kubelet.fields import Object
from testbed.kubelet.process import ContainerProcess

OnResult = Callable[[bool], None]


class Prober:
    """Runs one probe again and again; ``on_result`` is called when a threshold is crossed."""

    def __init__(self, probe: Object, attempt: Callable[[Object, float], Awaitable[bool]]) -> None:
        self._probe = probe
        self._attempt = attempt

    async def run(self, on_result: OnResult) -> None:
        """Probe until cancelled."""
        probe = self._probe
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        passed, failed = 0, 0
        while True:
            if await self._attempt(probe, float(probe.get("timeoutSeconds", 1))):
                passed, failed = passed + 1, 0
                if passed >= probe.get("successThreshold", 1):
                    on_result(True)
            else:
                passed, failed = 0, failed + 1
                if failed >= probe.get("failureThreshold", 3):
                    on_result(False)
            await asyncio.sleep(probe.get("periodSeconds", 10))


def port_of(port: Any, container: Object) -> int:
    """A probe's port, by number or by the name of a declared one; 0 where there is none."""
    if isinstance(port, int):
        return port
    named = (p["containerPort"] for p in container.get("ports", ()) if p.get("name") == port)
    return int(next(named, 0))


async def http_get(session: aiohttp.ClientSession, url: str, timeout: float) -> bool:
    """Whether a GET is answered by a status from 200 to 399."""
    try:
        async with session.get(
            url, timeout=aiohttp.ClientTimeout(total=timeout), allow_redirects=False, ssl=False
        ) as answer:
            return 200 <= answer.status < 400
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def tcp_open(host: str, port: int, timeout: float) -> bool:
    """Whether a connection can be made."""
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return True


async def run_in(process: ContainerProcess, command: list[str], timeout: float) -> bool:
    """Whether a command in a container, with its environment, ends with 0 in time."""
    pid = process.pid
    if pid is None:
        return False
    running = await asyncio.create_subprocess_exec(
        *("nsenter", f"--target={pid}", "--net", "--mount", "--pid", *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=process.environment,
    )
    try:
        async with asyncio.timeout(timeout):
            return await running.wait() == 0
    except TimeoutError:
        running.kill()
        await running.wait()
        return False
