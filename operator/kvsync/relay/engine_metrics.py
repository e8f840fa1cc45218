"""How many blocks the engine's cache has, by its own ``/metrics``; asked without waiting for it.

It is in the same pod, on loopback. While it loads nothing listens there; a large one writes megabytes
in small pieces, of which a few lines are kept.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Container

from kvsync.adapters.engine_http.cache_size import NAMES, blocks_of
from kvsync.adapters.engine_http.exposition import Sieve
from kvsync.model.address import HttpAddress
from kvsync.relay.http_content import Content, content_of

AGAIN = 5.0
"""Seconds until it is asked again where it did not say."""
PATIENCE = 10.0
"""Seconds for one answer."""
MOST = 8 << 20
"""Bytes of an answer."""
HEADER = 16384
AT_ONCE = 1 << 16
"""Bytes that are read before anything else is looked at."""

_REQUEST = b"GET %s HTTP/1.1\r\nHost: %s\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
_UNDER_WAY = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK})


class EngineMetrics:
    """Asks until it is told, and anew after :meth:`ask_again`. Times are monotonic seconds.

    Poll :meth:`reading` and :meth:`writing`, and call :meth:`turn` with what is ready.
    """

    def __init__(self, url: HttpAddress) -> None:
        self._url = url
        self._end: socket.socket | None = None
        self._request = b""
        self._answer = _Answer()
        self._since = 0.0
        self._due: float | None = 0.0

    def ask_again(self, now: float) -> None:
        """The engine is another one."""
        self.close()
        self._due = now

    def reading(self) -> tuple[int, ...]:
        """The file descriptor to wait for until it can be read."""
        return () if self._end is None or self._request else (self._end.fileno(),)

    def writing(self) -> tuple[int, ...]:
        """The file descriptor to wait for until it can be written."""
        return (self._end.fileno(),) if self._end is not None and self._request else ()

    def turn(self, ready: Container[object], now: float) -> int | None:
        """Go on; the blocks of each rank's cache where it has just said them."""
        if self._end is None:
            if self._due is not None and now >= self._due:
                self._begin(now)
            return None
        if now - self._since > PATIENCE:
            self._come_again(now)
        elif self._end.fileno() in ready:
            try:
                return self._go_on(self._end, now)
            except BlockingIOError:
                return None
            except (OSError, ValueError):
                self._come_again(now)
        return None

    def close(self) -> None:
        """Ask no more."""
        if self._end is not None:
            self._end.close()
            self._end = None

    def _begin(self, now: float) -> None:
        host, port = self._url.host, self._url.port
        self._end = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._end.setblocking(False)
        self._request = _REQUEST % (self._url.path.encode(), host.encode())
        self._answer = _Answer()
        self._since = now
        try:
            if self._end.connect_ex((host, port)) not in _UNDER_WAY:
                self._come_again(now)
        except OSError:
            self._come_again(now)

    def _go_on(self, end: socket.socket, now: float) -> int | None:
        if self._request:
            self._request = self._request[end.send(self._request) :]
            return None
        data = end.recv(AT_ONCE)
        if data:
            self._answer.take(data)
            return None
        blocks = self._answer.blocks()
        self._come_again(now)
        if blocks is not None:
            self._due = None
        return blocks

    def _come_again(self, now: float) -> None:
        self.close()
        self._due = now + AGAIN


class _Answer:
    """One HTTP answer as it comes."""

    def __init__(self) -> None:
        self._head = b""
        self._content: Content | None = None
        self._sieve = Sieve(NAMES)
        self._octets = 0

    def take(self, data: bytes) -> None:
        """The next piece. Raises ValueError where it is not what was asked for."""
        self._octets += len(data)
        if self._octets > MOST:
            raise ValueError("the answer is too long")
        if self._content is not None:
            self._sieve.feed(self._content.take(data))
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if end:
            self._content = content_of(head)
            self._sieve.feed(self._content.take(rest))
        elif len(self._head) > HEADER:
            raise ValueError("the header is too long")

    def blocks(self) -> int | None:
        """What it says, once it has ended."""
        self._sieve.finish()
        return blocks_of(self._sieve.lines)
