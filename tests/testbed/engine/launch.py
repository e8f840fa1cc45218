"""Start engine stand-ins as plain processes on this host: for tests that need no cluster."""

import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from testbed.engine.container import environment

DEADLINE_SECONDS = 10.0
_POLL_SECONDS = 0.01
API_SERVER = ("python3", "-m", "vllm.entrypoints.openai.api_server")
VLLM_SERVE = ("vllm", "serve")


class EngineProcess:
    """One engine; a context manager that ends it. ``version`` is what its image's tag would be."""

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        version: str = "0.32.0",
        program: Sequence[str] = VLLM_SERVE,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_ports(1)[0]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self.process = subprocess.Popen(
            [*program, *arguments, f"--port={self.port}", "--host=127.0.0.1"],
            env={**environment(), "TESTBED_VLLM_VERSION": version, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    @property
    def output(self) -> str:
        """All that it printed so far."""
        return os.pread(self._log.fileno(), 1 << 20, 0).decode()

    def wait_ready(self) -> Self:
        """Wait for ``/health`` to answer 200; raises RuntimeError with its output if it does not."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.is_healthy():
                return self
            time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"the engine did not become ready:\n{self.output}")

    def is_healthy(self) -> bool:
        """Whether ``/health`` answers 200 now."""
        try:
            return self.request("GET", "/health")[0] == 200
        except OSError:
            return False

    def wait_exit(self) -> int:
        """Its exit status; raises subprocess.TimeoutExpired."""
        return self.process.wait(DEADLINE_SECONDS)

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and body of one HTTP request: JSON where it is JSON, text otherwise."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read().decode()
            is_json = answer.headers.get("content-type") == "application/json" and content
            return answer.status, json.loads(content) if is_json else content
        finally:
            connection.close()

    def complete(self, prompt: str | list[int], max_tokens: int = 1) -> dict[str, Any]:
        """One completion that must succeed; the answer."""
        status, answer = self.request(
            "POST", "/v1/completions", {"prompt": prompt, "max_tokens": max_tokens}
        )
        if status != 200:
            raise RuntimeError(f"completion refused with {status}: {answer}")
        assert isinstance(answer, dict)
        return answer


def free_ports(count: int) -> list[int]:
    """Adjacent TCP ports that are free now, below the range that outgoing connections use.

    No two calls in one process give the same port; processes start in different places.
    """
    for base in _bases:
        _skip(count - 1)
        if all(_is_free(base + offset) for offset in range(count)):
            return [base + offset for offset in range(count)]
    raise RuntimeError(f"no {count} adjacent free TCP ports below 32000")


_bases = iter(range(20_000 + os.getpid() * 97 % 100 * 100, 32_000))


def _skip(count: int) -> None:
    for _ in range(count):
        next(_bases, None)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True
