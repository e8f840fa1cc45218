"""Content that comes in pieces is the same however it is cut, and what cannot be is refused."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.relay.http_content import LONGEST_LINE, ChunkedContent, content_of


def chunked(chunks: list[bytes], extension: str = "") -> bytes:
    lines = [f"{len(chunk):x}{extension}\r\n".encode() + chunk + b"\r\n" for chunk in chunks]
    return b"".join(lines) + b"0\r\n\r\n"


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=20),
    extension=st.sampled_from(["", ";name=value"]),
)
def test_it_is_the_same_however_it_is_cut(
    chunks: list[bytes], cuts: list[int], extension: str
) -> None:
    whole = chunked(chunks, extension)
    content = ChunkedContent()
    at = [0, *sorted(cuts), len(whole)]
    found = b"".join(content.take(whole[a:b]) for a, b in pairwise(at))
    assert found == b"".join(chunks)
    assert content.take(b"5\r\nafter\r\n") == b""


@pytest.mark.parametrize(
    "data",
    [b"xyz\r\n", b"-1\r\n", b"123456789\r\n", b";only=this\r\n", b"1" * (LONGEST_LINE + 1)],
)
def test_what_is_no_length_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - there is one thing to raise
        ChunkedContent().take(data)


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 404 Not Found\r\nX: y", b"SSH-2.0 200", b"HTTP/1.1"]
)
def test_only_200_has_content(head: bytes) -> None:
    with pytest.raises(ValueError, match="200"):
        content_of(head)


def test_a_header_says_whether_it_is_chunked() -> None:
    plain = content_of(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain")
    assert plain.take(b"1\r\na") == b"1\r\na"
    cut = content_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked")
    assert cut.take(b"1\r\na") == b"a"
