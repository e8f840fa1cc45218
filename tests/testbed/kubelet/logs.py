"""The kubelet's own endpoint: container logs, as the API server asks for them."""

import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from testbed.kubelet.pod import PodRunner
from testbed.kubelet.process import ContainerProcess

FindPod = Callable[[str, str], PodRunner | None]


class LogServer:
    """Serves ``/containerLogs/NAMESPACE/POD/CONTAINER`` over TLS (Kubernetes pkg/kubelet/server)."""

    def __init__(self, find: FindPod, certificate: Path, key: Path) -> None:
        self._find = find
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate, key)
        self._runner: web.AppRunner | None = None

    async def start(self, address: str) -> int:
        """Listen; the port."""
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, 0, ssl_context=self._tls).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        pod = self._find(request.match_info["namespace"], request.match_info["pod"])
        container = pod.container(request.match_info["container"]) if pod else None
        if container is None:
            raise web.HTTPNotFound(text="no such container runs here")
        query = request.query
        process = container.logged(previous=query.get("previous") == "true")
        if process is None:
            raise web.HTTPBadRequest(text="previous terminated container not found")
        lines, seen = list(process.lines), process.written
        if since := _since(query.get("sinceTime", ""), query.get("sinceSeconds", "")):
            lines = [(at, line) for at, line in lines if at >= since]
        if tail := query.get("tailLines"):
            lines = lines[len(lines) - min(int(tail), len(lines)) :]
        stamped = query.get("timestamps") == "true"
        data = "".join(_text(at, line, stamped=stamped) for at, line in lines).encode()
        if limit := query.get("limitBytes"):
            data = data[: int(limit)]
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(data)
        if query.get("follow") == "true":
            async for at, line in _follow(process, seen):
                await response.write(_text(at, line, stamped=stamped).encode())
        await response.write_eof()
        return response

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()


async def _follow(process: ContainerProcess, seen: int) -> AsyncIterator[tuple[datetime, str]]:
    while fresh := await process.more(seen):
        seen = process.written
        for line in fresh:
            yield line


def _since(time: str, seconds: str) -> datetime | None:
    if time:
        return datetime.fromisoformat(time)
    return datetime.now(UTC) - timedelta(seconds=int(seconds)) if seconds else None


def _text(at: datetime, line: str, *, stamped: bool) -> str:
    return f"{at.isoformat()} {line}\n" if stamped else f"{line}\n"
