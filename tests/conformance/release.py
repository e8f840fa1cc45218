"""A release of vLLM at hand: its own parser and publisher, in a process of their own."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from conformance.sources import Source, python, source

TESTS = Path(__file__).resolve().parents[1]
UNRECOGNIZED = "unrecognized arguments: "

Json = dict[str, Any]


@dataclass(frozen=True)
class Parsed:
    """What a release makes of a command line: argparse's exit code, and the events' configuration."""

    exit: int
    error: str = ""
    config: Mapping[str, Any] | None = None

    @property
    def publishes(self) -> bool:
        """Whether an engine that is started so opens a publisher."""
        config = self.config or {}
        return bool(config.get("enable_kv_cache_events")) and config.get("publisher") == "zmq"


class Release:
    """Starts with ``with``; each question is one line to the process and one line back."""

    def __init__(self, of: Source) -> None:
        self.version = of.version
        self._source = of

    def __enter__(self) -> "Release":
        folder = source(self._source)
        self._process = subprocess.Popen(
            [str(python()), "-m", "conformance.isolated.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Nothing of the caller's: variables named VLLM_… would change what is tested.
            env={"PATH": os.defpath, "PYTHONPATH": f"{folder}:{TESTS}", "COLUMNS": "200"},
        )
        self.loaded_from = str(self._answer().get("file"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def parse(self, words: Sequence[str], *, entry: str = "vllm") -> Parsed:
        """``vllm WORDS``; with ``entry="module"`` as ``python3 -m vllm…api_server WORDS``."""
        return Parsed(**self._ask({"do": "parse", "entry": entry, "words": list(words)}))

    def serve(self, *words: str) -> Parsed:
        """``vllm serve m WORDS``."""
        return self.parse(["serve", "m", *words])

    def publish(self, config: Mapping[str, Any], rank: int = 0) -> Json:
        """Start the publisher for a configuration; ``publisher`` is its class, or ``error``."""
        return self._ask({"do": "publish", "config": dict(config), "rank": rank})

    def emit(self, block: int) -> None:
        """Publish one stored block of this hash."""
        self._ask({"do": "emit", "hash": block})

    def stop_publishing(self) -> None:
        """End the publisher."""
        self._ask({"do": "close"})

    def _ask(self, question: Json) -> Json:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Json:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate()
            raise RuntimeError(f"vLLM {self.version} could not be loaded:\n{said[-3000:]}")
        answer: Json = json.loads(line)
        return answer
