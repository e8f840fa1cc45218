"""The log's lines: what stands in them, and that no quoted text makes more of itself."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.log_lines import FORMATS, JsonLines, TextLines, about, begin_logging

HOSTILE = "x\n2026-01-01 ERROR kvsync: forged\r\x1b[2J\x00\u2028\u202e\x85y"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the loggers of the test run as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    chatty = {name: logging.getLogger(name).level for name in ("kopf", "asyncio")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in chatty.items():
        logging.getLogger(name).setLevel(was)


def written(form: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    begin_logging(form, level, stream)
    return stream


def test_a_json_line_has_its_parts() -> None:
    stream = written("json")
    logging.getLogger("kvsync.x").info("%s is %d", "a", 7, extra=about("ns", "kv"))
    said = json.loads(stream.getvalue())
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "level": "info",
        "logger": "kvsync.x",
        "message": "a is 7",
        "kvsync": "ns/kv",
    }


def test_a_line_that_is_about_no_object_names_none() -> None:
    stream = written("json")
    logging.getLogger("kvsync.x").warning("so")
    assert "kvsync" not in json.loads(stream.getvalue())


def test_a_line_of_text_names_its_object_first() -> None:
    stream = written("text")
    logging.getLogger("kvsync.x").info("done", extra=about("ns", "kv"))
    assert stream.getvalue().endswith(" INFO    kvsync.x: ns/kv: done\n")


@pytest.mark.parametrize("form", FORMATS)
def test_a_traceback_is_kept_and_cannot_forge_a_line(form: str) -> None:
    stream = written(form)
    error = ValueError(HOSTILE)
    logging.getLogger("kvsync.x").error("failed", exc_info=error)
    if form == "json":
        (line,) = stream.getvalue().splitlines()
        assert "ValueError" in json.loads(line)["error"]
    else:
        first, *rest = stream.getvalue().split("\n")[:-1]
        assert first.endswith("ERROR   kvsync.x: failed")
        assert all(line.startswith("    ") for line in rest)
        assert not any(c in stream.getvalue() for c in "\r\x1b\x00\u2028\u202e\x85")


@pytest.mark.parametrize("form", FORMATS)
def test_libraries_write_the_same_lines_and_only_what_matters(form: str) -> None:
    stream = written(form)
    logging.getLogger("kopf.objects").info("chatter")
    logging.getLogger("aiohttp.server").warning("told")
    logging.getLogger("kopf.objects").warning("told too")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all("told" in line for line in lines)


def test_the_level_is_the_least_that_is_written() -> None:
    stream = written("text", "warning")
    logging.getLogger("kvsync.x").info("no")
    logging.getLogger("kvsync.x").warning("yes")
    assert stream.getvalue().count("\n") == 1


@given(st.text() | st.just(HOSTILE), st.text(max_size=40))
def test_whatever_is_quoted_is_one_line_of_printable_text(message: str, name: str) -> None:
    record = logging.LogRecord("kvsync.x", logging.INFO, "", 0, "%s", (message,), None)
    record.kvsync = name
    for formatter in (TextLines(), JsonLines()):
        line = formatter.format(record)
        assert line.isprintable()
        line.encode()
    assert json.loads(JsonLines().format(record))["message"] == message
