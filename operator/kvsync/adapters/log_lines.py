"""The lines of the operator's log: text for people, or one JSON object a line.

Messages quote what engines, gateways and the API server said. Control characters are escaped in both
forms, so that no quoted text can begin a line of its own or steer a terminal.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from kvsync.model.printable import one_line

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")

_CHATTY = ("kopf", "asyncio")
"""What they say at level info is of no use to whoever runs an operator."""


def about(namespace: str, name: str) -> dict[str, str]:
    """For ``extra``: the KVEventSync that a line is about."""
    return {"kvsync": f"{namespace}/{name}"}


class TextLines(logging.Formatter):
    """``time LEVEL logger: namespace/name: message``; a traceback follows in lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback's."""
        subject = getattr(record, "kvsync", "")
        said = f"{subject}: {record.getMessage()}" if subject else record.getMessage()
        moment = _moment(record.created)
        lines = [f"{moment} {record.levelname:<7} {record.name}: {one_line(said)}"]
        # Indented: the text of an error in it is a stranger's, and looks like no line of ours.
        lines += [f"    {one_line(line)}" for line in _trace(self, record).splitlines()]
        return "\n".join(lines)


class JsonLines(logging.Formatter):
    """``time``, ``level``, ``logger``, ``message``; ``kvsync`` where it is about one; ``error`` holds a
    traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        said = {
            "time": _moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        subject = getattr(record, "kvsync", "")
        if subject:
            said["kvsync"] = str(subject)
        trace = _trace(self, record)
        if trace:
            said["error"] = trace
        return json.dumps(said)  # escapes all that is not ASCII, and so every line separator


def begin_logging(form: str, level: str, stream: TextIO | None = None) -> None:
    """Have all loggers of the process write lines of this form, from this level on, to stderr.

    Libraries' loggers are told as well: kopf's and asyncio's only of warnings.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    parts += [formatter.formatStack(record.stack_info)] if record.stack_info else []
    return "\n".join(parts)
