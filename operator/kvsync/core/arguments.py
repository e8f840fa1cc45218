"""Reading a vLLM command line the way vLLM reads it.

vLLM's ``FlexibleArgumentParser`` takes dashes and underscores alike, ``--flag value`` and
``--flag=value``, and lets the last one win (``vllm/utils/argparse_utils.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

KV_EVENT_FLAGS = ("enable-kv-cache-events", "kv-events-buffer-steps", "kv-events-topic")
"""The product text's flags."""

FALSE = frozenset({"0", "false", "no", "off"})
"""What vLLM takes for no, in arguments and in environment variables."""


def program_of(word: str) -> str:
    """The name of the program that a word is, with or without its path."""
    return word.rpartition("/")[2]


def flag_of(word: str) -> str:
    """The name of the flag that a word is: without dashes, value and dotted tail; empty if none."""
    if not word.startswith("--"):
        return ""
    return word[2:].partition("=")[0].partition(".")[0].replace("_", "-")


def value_of(words: Sequence[str], *names: str) -> str | None:
    """The value that the last of these flags got; empty for a flag without one; None if absent.

    Args:
        words: the command line.
        names: the flag's spellings without leading dashes, dashed (``data-parallel-size``), its
            short form among them (``dp`` for ``-dp``).
    """
    found: str | None = None
    for index, word in enumerate(words):
        if word.startswith("-") and (flag_of(word) or _short_of(word)) in names:
            following = words[index + 1] if index + 1 < len(words) else ""
            inline = word.partition("=")[2] if "=" in word else None
            found = inline if inline is not None else "" if following.startswith("-") else following
    return found


def _short_of(word: str) -> str:
    return word[1:].partition("=")[0] if word.startswith("-") else ""


def switch_of(words: Sequence[str], name: str) -> bool | None:
    """What a switch came to: ``--name``, ``--name=false`` or ``--no-name``, the last one; None if absent."""
    found: bool | None = None
    for index, word in enumerate(words):
        if flag_of(word) == f"no-{name}":
            found = False
        elif flag_of(word) == name:
            found = (value_of(words[index : index + 2], name) or "").lower() not in FALSE
    return found


def int_of(words: Sequence[str], *names: str) -> int | None:
    """The flag's value as a number; None where it is absent or no number."""
    value = value_of(words, *names)
    return int(value) if value is not None and value.isdigit() else None


def kv_event_words(words: Sequence[str]) -> tuple[str, ...]:
    """The words that configure KV events in any accepted spelling, values in words of their own too.

    ``--kv-events`` is accepted by argparse as an abbreviation of ``--kv-events-config``; shorter
    ones are ambiguous with other flags.
    """
    found: list[str] = []
    for index, word in enumerate(words):
        name = flag_of(word)
        if name in KV_EVENT_FLAGS or name.startswith("kv-events"):
            found.append(word)
            takes_value = "=" not in word and name != "enable-kv-cache-events"
            if takes_value and index + 1 < len(words) and not words[index + 1].startswith("--"):
                found.append(words[index + 1])
    return tuple(found)
