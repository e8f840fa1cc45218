"""Asking tokenizers: the stand-in of vLLM, and endpoints that a hostile author would name."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kvsync.adapters.engine_http import tokenizer
from kvsync.adapters.engine_http.tokenizer import TokenizerHTTP, refuse
from kvsync.model.tokenizer import TokenizerAnswer, TokenizerQuestion
from testbed.engine.launch import EngineProcess

HOST = "127.0.0.1"
PATIENCE = 1.0


@pytest.fixture
async def door() -> AsyncIterator[TokenizerHTTP]:
    made = TokenizerHTTP(PATIENCE, loopback=True)
    yield made
    await made.close()


@asynccontextmanager
async def server(*answers: bytes, hold: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers one connection after the other with these bytes; yields its port and what it got."""
    got: list[bytes] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split()[0])
        got.append(head + await reader.readexactly(size))
        writer.write(left.pop(0) if left else b"")
        await writer.drain()
        if hold:
            await reader.read()
        writer.close()

    listening = await asyncio.start_server(serve, HOST, 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], got


def status(code: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {code} x\r\n{more}Content-Length: 0\r\n\r\n".encode()


def at(port: int, model: str = "", host: str = HOST) -> TokenizerQuestion:
    return TokenizerQuestion(f"http://{host}:{port}/tokenize", model)


async def test_a_vllm_tokenizes_whatever_model_is_named(door: TokenizerHTTP) -> None:
    with EngineProcess(("--served-model-name=mine",)) as process:
        process.wait_ready()
        for model in ("mine", "", "another"):
            assert (await door.tokenize(at(process.port, model))).works, model


async def test_only_one_that_may_refuse_the_name_is_asked_again(door: TokenizerHTTP) -> None:
    async with server(status(503)) as (port, got):
        assert await door.tokenize(at(port, "m")) == TokenizerAnswer(503)
    assert len(got) == 1
    async with server(status(404), status(200)) as (port, got):
        assert await door.tokenize(at(port, "m")) == TokenizerAnswer(200)
    assert [b'"model"' in each for each in got] == [True, False]


async def test_a_redirect_is_not_followed(door: TokenizerHTTP) -> None:
    async with server() as (elsewhere, got):
        location = f"Location: http://{HOST}:{elsewhere}/secret\r\n"
        async with server(status(302, location)) as (port, _):
            assert await door.tokenize(at(port)) == TokenizerAnswer(302)
    assert got == []


async def test_no_proxy_is_used(door: TokenizerHTTP, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server() as (proxy, got):
        monkeypatch.setenv("http_proxy", f"http://{HOST}:{proxy}")
        async with server(status(200)) as (port, _):
            assert (await door.tokenize(at(port))).works
    assert got == []


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 999999 x\r\n\r\n",
        b"HTTP/1.1 200 x\r\n" + b"A: " + b"a" * (1 << 20),
    ],
    ids=["nothing", "no HTTP", "no status", "endless header"],
)
async def test_what_is_no_answer_is_a_problem(door: TokenizerHTTP, said: bytes) -> None:
    async with server(said) as (port, _):
        answer = await door.tokenize(at(port))
    assert answer.status == 0
    assert 0 < len(answer.problem) < 100
    assert "SSH" not in answer.problem


async def test_the_body_is_not_read(door: TokenizerHTTP) -> None:
    head = b"HTTP/1.1 200 x\r\nContent-Length: 1000000000\r\n\r\n"
    began = time.monotonic()
    async with server(head + b"x" * 1000, hold=True) as (port, _):
        assert await door.tokenize(at(port)) == TokenizerAnswer(200)
    assert time.monotonic() - began < PATIENCE


async def test_one_that_says_nothing_is_given_up(door: TokenizerHTTP) -> None:
    async with server(b"HTTP/1.1 200", hold=True) as (port, _):
        began = time.monotonic()
        answer = await door.tokenize(at(port))
    assert time.monotonic() - began < PATIENCE + 1
    assert answer == TokenizerAnswer(problem="no answer within 1 s")


async def test_nobody_there_is_told(door: TokenizerHTTP) -> None:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        answer = await door.tokenize(at(bound.getsockname()[1]))
    assert answer == TokenizerAnswer(problem="the connection is refused")
    nowhere = await door.tokenize(TokenizerQuestion("http://no-such-name.invalid:1/tokenize"))
    assert nowhere == TokenizerAnswer(problem="its name does not resolve")


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1.2.3", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255"),
        *(
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[ff02::1]",
            "[::ffff:169.254.169.254]",
            "[::ffff:127.0.0.1]",
        ),
        *("[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[fd00:ec2::254]", "100.100.100.200"),
        *("[64:ff9b:1::7f00:1]", "[::127.0.0.1]", "[::a9fe:a9fe]", "[fe80::1%25lo]", "192.0.0.192"),
        # Spellings that are no address to Python and one to the C library.
        *("localhost", "2130706433", "0x7f000001", "127.1", "0", "2852039166"),
        *("0177.0.0.1", "0x7f.1", "127.0.0.1.", "localhost.", "LOCALHOST", "169.254.169.254."),
        # Digits that IDNA makes plain ones of, and two hosts in one text.
        *("\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "\uff11\uff12\uff17.0.0.1", "127\u30020.0.1"),
        *("me@127.0.0.1", "8.8.8.8@127.0.0.1", "me:8.8.8.8@[::1]", "8.8.8.8\\@127.0.0.1"),
        *("8.8.8.8 @127.0.0.1", "127.0.0.1\t", "127.0.0.1%2f8.8.8.8"),
    ],
)
async def test_addresses_that_are_nobodys_tokenizer_are_never_asked(host: str) -> None:
    made = TokenizerHTTP(PATIENCE)
    try:
        async with server(status(200)) as (port, got):
            answer = await made.tokenize(at(port, host=host))
    finally:
        await made.close()
    assert (answer.status, got) == (0, [])
    # aiohttp takes numbers alone for no host at all.
    refused = ("never asked", "no URL", "does not resolve", "no answer", "cannot be connected to")
    assert any(words in answer.problem for words in refused)


@pytest.mark.parametrize(
    "address",
    ["10.244.0.7", "192.168.1.1", "172.16.0.1", "100.64.0.1", "8.8.8.8", "fd00::7", "fc00::7"],
)
def test_addresses_that_pods_and_services_have_are_asked(address: str) -> None:
    refuse(ipaddress.ip_address(address))


Lookup = Callable[..., Any]


async def test_a_name_is_looked_up_once_and_that_address_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that has another address the second time (DNS rebinding) changes nothing."""
    looked_up: list[str] = []
    loop = asyncio.get_running_loop()
    true_lookup: Lookup = loop.getaddrinfo

    async def look_up(host: str, port: int, **more: Any) -> Any:
        looked_up.append(host)
        return await true_lookup(HOST, port, **more)

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    made = TokenizerHTTP(PATIENCE, loopback=True)
    try:
        async with server(status(404), status(200)) as (port, got):
            assert (await made.tokenize(at(port, "m", host="tokens.example"))).works
    finally:
        await made.close()
    assert [name for name in looked_up if name != HOST] == ["tokens.example"] * 2, "once a request"
    assert len(got) == 2


async def test_a_name_with_one_bad_address_among_good_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()

    async def look_up(host: str, port: int, **_: Any) -> Any:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("10.0.0.1", "169.254.169.254")
        ]

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    made = TokenizerHTTP(PATIENCE)
    try:
        answer = await made.tokenize(TokenizerQuestion("http://tokens.example/tokenize"))
    finally:
        await made.close()
    assert "never asked" in answer.problem


@pytest.mark.parametrize(
    "url", ["ftp://x/tokenize", "file:///etc/passwd", "http://", "http://[x/", "unix:///run/x", ""]
)
async def test_what_is_no_http_url_is_not_asked(door: TokenizerHTTP, url: str) -> None:
    assert (await door.tokenize(TokenizerQuestion(url))).status == 0


def test_the_patience_is_two_seconds() -> None:
    assert tokenizer.PATIENCE == 2.0
