"""Asking whether a tokenizer works: a URL that an object's author chose, so nothing of it is trusted.

Of the answer only the status is looked at. The addresses that a name has are looked up once, those
that are nobody's tokenizer are refused, and the connection goes to what was looked up.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kvsync.model.tokenizer import TokenizerAnswer, TokenizerQuestion

PATIENCE = 2.0
"""Seconds for an answer, the look-up of the name included."""

_PROMPT = "a"
_UNNAMED = frozenset({400, 404, 422})
"""Statuses by which an engine may refuse the model's name (vLLM: 404); it is asked again without."""

_METADATA = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254"))
)
"""Where clouds serve a machine's credentials that is no link-local address (Alibaba, Oracle, AWS)."""

_CARRYING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
"""IPv6 addresses whose last 32 bits are an IPv4 one: NAT64 (RFC 6052, RFC 8215), IPv4-compatible ones."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class _RefusedError(OSError):
    """An address that is never asked."""


class TokenizerHTTP:
    """Asks tokenizers. No redirects, no proxy, no cookies, no body read; never raises.

    ``loopback``: whether this machine itself may be asked, for tests.
    """

    def __init__(self, patience: float = PATIENCE, *, loopback: bool = False) -> None:
        self._patience = patience
        self._loopback = loopback
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    async def tokenize(self, question: TokenizerQuestion) -> TokenizerAnswer:
        """The status with which it answers ``POST`` of a prompt.

        vLLM takes the model's name or none (``entrypoints/openai``, TokenizeCompletionRequest). An
        endpoint may serve another model than the one that is named, so that one is asked again
        without the name.
        """
        try:
            async with asyncio.timeout(self._patience):
                answer = await self._ask(question.url, question.model)
                if question.model and answer.status in _UNNAMED:
                    answer = await self._ask(question.url, "")
                return answer
        except TimeoutError:
            return TokenizerAnswer(problem=f"no answer within {self._patience:g} s")

    async def _ask(self, url: str, model: str) -> TokenizerAnswer:
        """One request. Raises TimeoutError."""
        body = {"prompt": _PROMPT} | ({"model": model} if model else {})
        try:
            async with self._opened().post(
                self._checked(url), json=body, allow_redirects=False
            ) as answer:
                answer.close()  # what it has to say more is not read
                return TokenizerAnswer(answer.status)
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return TokenizerAnswer(problem=_problem(error))

    def _checked(self, url: str) -> URL:
        """The URL as it is asked. A host that is an address is not looked up, so it is checked here; by
        the very parser that the client has, for two may read two hosts out of one text.

        Raises:
            ValueError: it is no URL that is asked.
            OSError: its address is never asked.
        """
        parsed = URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("no HTTP URL")
        try:
            address = ipaddress.ip_address(parsed.host.partition("%")[0])
        except ValueError:
            return parsed
        refuse(address, loopback=self._loopback)
        return parsed

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Nothing secret is sent and only the status counts: whose certificate it is does not
                # matter, and the gateway may trust another authority than this machine.
                connector=aiohttp.TCPConnector(
                    ssl=False,
                    resolver=_Resolver(loopback=self._loopback),
                    use_dns_cache=False,
                    force_close=True,
                ),
                timeout=aiohttp.ClientTimeout(total=self._patience),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


class _Resolver(AbstractResolver):
    """Looks a name up once, and refuses it where any of its addresses is never asked."""

    def __init__(self, *, loopback: bool) -> None:
        self._loopback = loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family
        )
        return [self._result(host, port, each) for each in found]

    def _result(self, host: str, port: int, info: tuple[Any, ...]) -> ResolveResult:
        family, _, proto, _, address = info
        text = str(address[0])
        refuse(ipaddress.ip_address(text.partition("%")[0]), loopback=self._loopback)
        return ResolveResult(
            hostname=host,
            host=text,
            port=port,
            family=family,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )

    async def close(self) -> None:
        """Nothing is kept open."""


def refuse(address: IPAddress, *, loopback: bool = False) -> None:
    """Raise OSError where an address is nobody's tokenizer: this machine, its link, many machines, or
    where a cloud tells secrets."""
    plain = _plain(address)
    allowed = loopback and plain.is_loopback
    never = (
        plain.is_loopback
        or plain.is_link_local
        or plain.is_multicast
        or plain.is_unspecified
        or plain in _METADATA
        or plain == ipaddress.IPv4Address("255.255.255.255")
    )
    if never and not allowed:
        raise _RefusedError("its address is never asked (loopback, link-local or the like)")


def _plain(address: IPAddress) -> IPAddress:
    """The IPv4 address inside of an IPv6 one, if there is one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.is_loopback or address.is_unspecified:
        return address  # of the last of these networks
    if any(address in network for network in _CARRYING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _problem(error: Exception) -> str:
    """A few words without anything that the other side wrote."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _RefusedError):
            return str(cause)
        if isinstance(cause, socket.gaierror):
            return "its name does not resolve"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection is refused"
        cause = cause.__cause__ or getattr(cause, "os_error", None)
    if isinstance(error, aiohttp.ClientConnectorError):
        return "it cannot be connected to"
    if isinstance(error, ValueError):  # aiohttp's InvalidURL is one too
        return "it is no URL that can be asked"
    return "it does not answer in HTTP"
