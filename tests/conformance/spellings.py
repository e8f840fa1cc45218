"""The ways to write an event configuration, right and wrong, and what each release makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ON, OFF, NONE = "publishes", "does not publish", "as if it was not given"
REFUSED = "exit code 2"

FLAG = "--kv-events-config"
A = '{"enable_kv_cache_events":true,"publisher":"zmq","topic":"a"}'
B = '{"enable_kv_cache_events":true,"publisher":"zmq","topic":"b"}'


@dataclass(frozen=True)
class Spelling:
    """Words, what becomes of them, the topic that results, and releases that differ."""

    words: tuple[str, ...]
    becomes: str
    topic: str = ""
    but: Mapping[str, str] = field(default_factory=dict)

    def expected(self, version: str) -> str:
        """What a release makes of it."""
        return self.but.get(version, self.becomes)


def _json(text: str) -> tuple[str, ...]:
    return (f"{FLAG}={text}",)


def _on(rest: str) -> tuple[str, ...]:
    return _json('{"enable_kv_cache_events":true,"publisher":"zmq"' + rest + "}")


# 0.9.0 turned the underscores of sub-keys into dashes, which name no field of the configuration.
_SUBKEYS = {"0.9.0": REFUSED}
# Unknown keys and values of the wrong kind passed until the configuration came to forbid them.
_LAX = {"0.9.0": OFF, "0.11.0": OFF}

SPELLINGS: dict[str, Spelling] = {
    "two-words": Spelling((FLAG, A), ON, "a"),
    "equals-sign": Spelling(_json(A), ON, "a"),
    "underscores": Spelling(("--kv_events_config", A), ON, "a"),
    "underscores-and-dashes": Spelling((f"--kv_events-config={A}",), ON, "a"),
    "abbreviated": Spelling(("--kv-events", A), ON, "a"),
    "abbreviated-most": Spelling((f"--kv_e={A}",), ON, "a"),
    "abbreviated-too-much": Spelling(("--kv", A), REFUSED),
    "dotted": Spelling(
        (
            f"{FLAG}.enable_kv_cache_events",
            "true",
            f"{FLAG}.publisher=zmq",
            f"{FLAG}.topic",
            "a",
        ),
        ON,
        "a",
        _SUBKEYS,
    ),
    "dotted-abbreviated": Spelling(
        ("--kv-e.enable_kv_cache_events=true", "--kv-e.publisher=zmq"), ON, "", _SUBKEYS
    ),
    "dotted-with-dashes": Spelling(
        (f"{FLAG}.enable-kv-cache-events=true", f"{FLAG}.publisher=zmq"),
        REFUSED,
        "",
        {"0.11.0": OFF, "0.11.2": OFF},
    ),
    "twice": Spelling((f"{FLAG}={A}", f"{FLAG}={B}"), ON, "b"),
    "twice-once-abbreviated": Spelling((f"{FLAG}={A}", "--kv_events", B), ON, "b"),
    # The parser takes dotted words out and appends them as JSON: they come last, and alone.
    "json-then-dotted": Spelling((f"{FLAG}={A}", f"{FLAG}.topic", "b"), OFF, "b"),
    "dotted-then-json": Spelling((f"{FLAG}.topic=b", f"{FLAG}={A}"), OFF, "b"),
    "empty-object": Spelling(_json("{}"), OFF),
    "empty-value": Spelling(_json(""), NONE),
    "empty-word": Spelling((FLAG, ""), NONE),
    "the-word-none": Spelling(_json("None"), NONE),
    "null": Spelling(_json("null"), REFUSED),
    "no-json": Spelling(_json("{"), REFUSED),
    "no-value": Spelling((FLAG,), REFUSED),
    "no-value-but-a-flag": Spelling((FLAG, "--seed=1"), REFUSED),
    "unknown-key": Spelling(_on(',"compression":1'), REFUSED, "", {"0.11.0": ON, "0.11.2": ON}),
    "unknown-publisher": Spelling(_json('{"publisher":"kafka"}'), REFUSED, "", _LAX),
    "no-boolean": Spelling(
        _json('{"enable_kv_cache_events":"maybe"}'), REFUSED, "", {"0.9.0": OFF}
    ),
    "boolean-as-text": Spelling(_json('{"enable_kv_cache_events":"true","publisher":"zmq"}'), ON),
    "boolean-as-number": Spelling(_json('{"enable_kv_cache_events":1,"publisher":"zmq"}'), ON),
    "number-as-text": Spelling(_on(',"buffer_steps":"5"'), ON),
    "number-with-unit": Spelling(
        _on(',"buffer_steps":10k'),
        ON,
        "",
        dict.fromkeys(("0.9.0", "0.11.0", "0.11.2", "0.16.0"), REFUSED),
    ),
    "number-with-point": Spelling(_on(',"buffer_steps":5.0'), ON),
    "not-a-number": Spelling(_on(',"hwm":NaN'), REFUSED, "", {"0.9.0": ON}),
    "key-twice": Spelling(_on(',"topic":"a","topic":"b"'), ON, "b"),
    "spaces-and-lines": Spelling((FLAG, f" {A[:1]}\n {A[1:]} "), ON, "a"),
    "switched-off": Spelling(_json('{"enable_kv_cache_events":false,"publisher":"zmq"}'), OFF),
    "publisher-null": Spelling(_json('{"enable_kv_cache_events":true,"publisher":"null"}'), OFF),
}
