"""Programs that a script may call, and what each does with the rest of its command line."""

from __future__ import annotations

import re

from kvsync.core.engines import ENGINES


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMANDS = [pair for engine in ENGINES.values() for pair in engine.commands]
_MODULES = [module for engine in ENGINES.values() for module in engine.modules]

STARTS = frozenset([*_COMMANDS, *(("-m", module) for module in _MODULES)])
"""Two words in a row that start an engine; the first may be a path."""

MENTION = re.compile(
    "|".join(
        [rf"(?<![\w.-]){first}(?:\s|\\\n)+{second}(?![\w-])" for first, second in _COMMANDS]
        + [re.escape(module) for module in _MODULES]
    )
)

WRAPPERS = _names(
    "accelerate builtin catatonit catchsegv chrt command conda ddtrace-run dumb-init env exec gosu "
    "ionice micromamba mpirun nice nohup nsys numactl opentelemetry-instrument pixi poetry setpriv "
    "setsid stdbuf su-exec sudo taskset time timeout tini torchrun unbuffer uv uvx"
)
"""Programs that run the rest of their command line; what is appended to theirs reaches the engine."""

TALKERS = frozenset({":", "echo", "grep", "logger", "pgrep", "pkill", "printf", "type", "which"})
"""Programs that may name an engine and start none."""

SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh"})
"""Programs that take a script behind ``-c``."""
