"""Where something listens, as a person writes it: ``tcp://HOST:PORT`` of a publisher, ``HOST:PORT``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_FORM = re.compile(
    r"tcp://(?:\[(?P<ip6>[^\[\]]*)\]|(?P<host>[^\[\]:/?#@\s]+)):(?P<port>[0-9]{1,5})"
)
_LISTEN = re.compile(r"(?:\[(?P<ip6>[^\[\]]*)\]|(?P<host>[^\[\]:/?#@\s]*)):(?P<port>[0-9]{1,5})")
_HTTP = re.compile(
    r"http://(?:\[(?P<ip6>[^\[\]]*)\]|(?P<host>[0-9.]+|localhost)):(?P<port>[0-9]{1,5})"
    r"(?P<path>/[!-~]{0,255})"
)
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})")


@dataclass(frozen=True, slots=True)
class Address:
    """Host (an IP address or a name, without brackets) and TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://{self.authority}"

    @property
    def authority(self) -> str:
        """``HOST:PORT`` as it stands in a URL, an IPv6 address in brackets (RFC 3986, 3.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """A page: an IP address without brackets, a TCP port, and the path with its ``/``."""

    host: str
    port: int
    path: str


def parse_address(text: str) -> Address:
    """The address in ``tcp://HOST:PORT``; an IPv6 address stands in brackets.

    Raises ValueError with what is wrong and how to write it.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is not of the form tcp://HOST:PORT (an IPv6 address in brackets)"
        )
    host, port = found["host"] or found["ip6"], int(found["port"])
    if host == "*":
        raise ValueError("'*' is what an engine listens on; name a host or the pod's IP")
    if found["host"] is None:
        _check_ip6(host)
    elif not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} is neither a host name nor an IP address")
    if not 0 < port < 65536:
        raise ValueError(f"port {port} is not between 1 and 65535")
    return Address(host, port)


def parse_bind_address(text: str) -> Address:
    """The address in ``tcp://HOST:PORT`` to listen on; the host may be ``*``, every address.

    Raises ValueError with what is wrong and how to write it.
    """
    if text.startswith("tcp://*:"):
        port = parse_address(text.replace("*", "any", 1)).port
        return Address("*", port)
    return parse_address(text)


def parse_listen_address(text: str) -> Address:
    """The address in ``HOST:PORT``, ``[IPv6]:PORT`` or ``:PORT`` (every address); port 0: a free one.

    Raises ValueError with what is wrong and how to write it.
    """
    found = _LISTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not of the form HOST:PORT (an IPv6 address in brackets)")
    host, port = found["host"] or found["ip6"] or "0.0.0.0", int(found["port"])  # noqa: S104
    if found["ip6"] is not None:
        _check_ip6(host)
    elif not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} is neither a host name nor an IP address")
    if port > 65535:
        raise ValueError(f"port {port} is above 65535")
    return Address(host, port)


def parse_http_address(text: str) -> HttpAddress:
    """The page in ``http://IP:PORT/PATH``; a name is none but ``localhost``, so nothing is looked up.

    Raises ValueError with what is wrong and how to write it.
    """
    found = _HTTP.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is not of the form http://IP:PORT/PATH (an IPv6 address in brackets)"
        )
    host = found["ip6"] or found["host"].replace("localhost", "127.0.0.1")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{host!r} is no IP address") from None
    port = int(found["port"])
    if not 0 < port < 65536:
        raise ValueError(f"port {port} is not between 1 and 65535")
    return HttpAddress(host, port, found["path"])


def _check_ip6(host: str) -> None:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise ValueError(f"{host!r} in brackets is no IPv6 address") from None
