"""The line of a crashed engine's log that says why it ended: one line, printable, short.

An engine prints what it likes, prompts among it: nothing but this line leaves the log, and of that
no list of numbers (token ids) and no key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_QUOTE = 400
"""Characters of a quote."""

_MAX_READ = 256 * 1024
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# In front of each line of vLLM: which process, severity, time and place (vllm/logger.py, system_utils.py).
_PREFIX = re.compile(
    r"^(?:\([\w.-]{1,40}(?: pid=\d+)?\) ?)?"
    r"(?:(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) [\d-]{5,10} [\d:.,]{8,15} (?:\[[^\]]{1,80}\] ?)?)?"
)
# argparse: "usage: …", then "PROGRAM: error: what is wrong" and exit code 2.
_USAGE_ERROR = re.compile(r"^[\w./ -]{1,80}: error: \S")
_EXCEPTION = re.compile(r"^(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Failure)\b(?::|$)")
# What an engine says last of all, and what only tells that it was said before.
_POINTS_ELSEWHERE = re.compile(r"[Ss]ee (?:the )?(?:root cause|stack trace|error)\b|core proc\(s\)")
_SEVERE = re.compile(r"\b(?:error|fatal|critical|panic|killed|abort(?:ed)?)\b", re.IGNORECASE)
_OF_A_REQUEST = re.compile(r"prompt|token_ids", re.IGNORECASE)
_NUMBERS = re.compile(r"\[\s*-?\d+(?:\s*,\s*-?\d+){3,}[\s,.]*\]?")
_KEY_NAME = r"(?:api[-_]?key|password|secret|(?:hf|auth|access)[-_]?token)"
_KEY = re.compile(
    rf"(--{_KEY_NAME}[ =]|{_KEY_NAME}[\"']?\s*[:=]\s*[\"']?)[^\s\"',]+", re.IGNORECASE
)


def telling_line(text: str) -> str:
    """The line that tells why a process ended; empty where it said nothing.

    A refused command line is told by the parser's own line; a Python traceback by its last line,
    that of the cause before that of whoever only passed it on; else it is the last line that names
    an error, or the last line of all.
    """
    lines = [line for raw in text[-_MAX_READ:].splitlines() if (line := _plain(raw))]
    chosen = _KEY.sub(r"\1…", _NUMBERS.sub("[…]", _chosen(lines))) if lines else ""
    return quoted(chosen)


def quoted(text: str) -> str:
    """A text of a stranger as one printable line, bounded."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_QUOTE])
    return " ".join(printable.split())[:MAX_QUOTE].strip()


def _plain(raw: str) -> str:
    return _PREFIX.sub("", _ESCAPES.sub("", raw[: 4 * MAX_QUOTE]), count=1).strip()


def _chosen(lines: Sequence[str]) -> str:
    harmless = [line for line in lines if not _OF_A_REQUEST.search(line)]
    return (
        _last(lines, _USAGE_ERROR)
        or _cause(lines)
        or _last(harmless, _SEVERE)
        or next(reversed(harmless), "")
    )


def _cause(lines: Sequence[str]) -> str:
    raised = [line for line in lines if _EXCEPTION.match(line)]
    causes = [line for line in raised if not _POINTS_ELSEWHERE.search(line)]
    return next(reversed(causes or raised), "")


def _last(lines: Sequence[str], pattern: re.Pattern[str]) -> str:
    return next((line for line in reversed(lines) if pattern.search(line)), "")
