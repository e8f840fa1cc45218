"""Addresses to reach and to listen on, as people write and mistake them."""

import pytest

from kvsync.model.address import (
    Address,
    HttpAddress,
    parse_address,
    parse_http_address,
    parse_listen_address,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("tcp://10.0.0.7:5557", "10.0.0.7", 5557),
        ("tcp://my-model.default.svc:1", "my-model.default.svc", 1),
        ("tcp://localhost:65535", "localhost", 65535),
        ("tcp://[fd00::7]:5557", "fd00::7", 5557),
        ("tcp://[fe80::1%eth0]:5557", "fe80::1%eth0", 5557),
    ],
)
def test_an_address_is_read_and_written(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "tcp://HOST:PORT"),
        ("10.0.0.7:5557", "tcp://HOST:PORT"),
        ("http://10.0.0.7:5557", "tcp://HOST:PORT"),
        ("tcp://10.0.0.7", "tcp://HOST:PORT"),
        ("tcp://10.0.0.7:5557/", "tcp://HOST:PORT"),
        ("tcp://fd00::7:5557", "in brackets"),
        ("tcp://[10.0.0.7]:5557", "no IPv6 address"),
        ("tcp://[]:5557", "no IPv6 address"),
        ("tcp://*:5557", "what an engine listens on"),
        ("tcp://a b:5557", "tcp://HOST:PORT"),
        ("tcp://-x:5557", "neither a host name"),
        ("tcp://h:0", "between 1 and 65535"),
        ("tcp://h:70000", "between 1 and 65535"),
        ("tcp://h:٣", "tcp://HOST:PORT"),
    ],
)
def test_a_mistake_is_told_with_the_right_form(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:8080", "0.0.0.0", 8080),
        (":8080", "0.0.0.0", 8080),
        ("localhost:0", "localhost", 0),
        ("[::]:8080", "::", 8080),
    ],
)
def test_an_address_to_listen_on_is_read(text: str, host: str, port: int) -> None:
    assert parse_listen_address(text) == Address(host, port)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "HOST:PORT"),
        ("8080", "HOST:PORT"),
        ("::8080", "in brackets"),
        ("[]:8080", "no IPv6 address"),
        ("*:8080", "neither a host name"),
        ("tcp://h:8080", "HOST:PORT"),
        ("h:65536", "above 65535"),
    ],
)
def test_a_mistake_in_where_to_listen_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_listen_address(text)


@pytest.mark.parametrize(
    ("text", "host", "port", "path"),
    [
        ("http://127.0.0.1:8000/metrics", "127.0.0.1", 8000, "/metrics"),
        ("http://localhost:1/", "127.0.0.1", 1, "/"),
        ("http://[::1]:8000/a/b?c=d", "::1", 8000, "/a/b?c=d"),
    ],
)
def test_a_page_is_read(text: str, host: str, port: int, path: str) -> None:
    assert parse_http_address(text) == HttpAddress(host, port, path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "http://IP:PORT/PATH"),
        ("http://127.0.0.1:8000", "http://IP:PORT/PATH"),
        ("https://127.0.0.1:8000/metrics", "http://IP:PORT/PATH"),
        ("http://engine:8000/metrics", "http://IP:PORT/PATH"),
        ("http://127.0.0.1:8000/a b", "http://IP:PORT/PATH"),
        ("http://127.0.0.1:8000/a\r\nX: y", "http://IP:PORT/PATH"),
        ("http://127.0.0.1:0/metrics", "between 1 and 65535"),
        ("http://1.2.3:80/metrics", "no IP address"),
        ("http://[x]:80/metrics", "no IP address"),
    ],
)
def test_a_mistake_in_a_page_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_http_address(text)
