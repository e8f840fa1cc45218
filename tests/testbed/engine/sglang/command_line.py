"""The command line, read as SGLang reads it: plain argparse, so no underscores in names.

Source: ``prepare_server_args`` in ``python/sglang/srt/server_args.py``, ``sglang/cli/serve.py``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from testbed.engine.arguments import UsageError, config_options
from testbed.engine.sglang.flags import known_flags
from testbed.engine.sglang.releases import Release

_NAMED_SERVE = Release(0, 5, 10)
_CONFIG_SINCE = Release(0, 5, 3)
_POSITIONAL_SINCE = Release(0, 5, 16)
_MODEL = ("--model-path", "--model")


def parse_launch_server(release: Release, arguments: Sequence[str]) -> argparse.Namespace:
    """``python3 -m sglang.launch_server ARGUMENTS``; exits 2 through argparse."""
    return _parse(release, arguments, "launch_server.py")


def parse_serve(release: Release, arguments: Sequence[str]) -> argparse.Namespace:
    """``sglang serve ARGUMENTS``; exits 2 through argparse, raises UsageError without a model."""
    words = list(arguments)
    if release >= _POSITIONAL_SINCE and words and not words[0].startswith("-"):
        words = ["--model-path", *words]
    if not any(word.partition("=")[0] in _MODEL for word in words):
        raise UsageError("Error: --model-path is required. Please provide the path to the model.")
    return _parse(release, words, "sglang")


def _parse(release: Release, arguments: Sequence[str], program: str) -> argparse.Namespace:
    name = program if release < _NAMED_SERVE else "sglang serve"
    parser = argparse.ArgumentParser(prog=name)
    for flag in known_flags(release):
        parser.add_argument(*flag.spellings(), **flag.options)
    return parser.parse_args(_with_config_file(release, list(arguments)))


def _with_config_file(release: Release, words: list[str]) -> list[str]:
    """The options of ``--config FILE`` put before all others, which win over them."""
    if release < _CONFIG_SINCE or "--config" not in words:
        return words
    index = words.index("--config")
    if index + 1 == len(words):
        raise UsageError("No config file specified after --config flag!")
    return [*config_options(Path(words[index + 1])), *words[:index], *words[index + 2 :]]
