"""One release of vLLM, asked by lines of JSON on stdin: what do you make of these words?

Run with PYTHONPATH at the release's source and at tests/. Nothing of this project is imported but
the stand-ins: the release's own parser, validation and publisher answer. Requests::

    {"do": "parse", "entry": "vllm" | "module", "words": […]}
    {"do": "publish", "config": {…}, "rank": 0}      start the release's publisher
    {"do": "emit", "hash": 1}                        publish one batch through it
    {"do": "close"}                                  end it
"""

import contextlib
import dataclasses
import importlib
import io
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from conformance.isolated import stubs

Answer = dict[str, Any]

# The module moved over time; the first one that a release has is the one it uses.
_PARSERS = ("vllm.utils.argparse_utils", "vllm.utils")
_ARGUMENTS = (
    "vllm.entrypoints.openai.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.common.cli_args",
)
_CONFIGS = ("vllm.config.kv_events", "vllm.config")


def _first(names: tuple[str, ...], attribute: str) -> Any:
    for name in names:
        try:
            return getattr(importlib.import_module(name), attribute)
        except (ModuleNotFoundError, AttributeError) as error:
            if isinstance(error, ModuleNotFoundError) and not name.startswith(str(error.name)):
                raise
    raise LookupError(f"none of {names} has {attribute}")


class Release:
    """The release's own parser and publisher."""

    def __init__(self) -> None:
        flexible = _first(_PARSERS, "FlexibleArgumentParser")
        make_arguments = _first(_ARGUMENTS, "make_arg_parser")
        self._config: Any = _first(_CONFIGS, "KVEventsConfig")
        self._validate: Any = _first(_ARGUMENTS, "validate_parsed_serve_args")
        # Both as the release builds them: vllm/entrypoints/cli/main.py and …/api_server.py.
        command = flexible(prog="vllm", description="vLLM CLI")
        serve = importlib.import_module("vllm.entrypoints.cli.serve").cmd_init()[0]
        serve.subparser_init(command.add_subparsers(required=False, dest="subparser"))
        module = make_arguments(flexible(prog="api_server.py"))
        self._parsers = {"vllm": command, "module": module}
        self._publisher: Any = None

    def parse(self, request: Answer) -> Answer:
        """What the parser makes of a command line; ``exit`` is 0 or argparse's code."""
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                parsed = self._parsers[request["entry"]].parse_args(request["words"])
                self._validate(parsed)
        except SystemExit as end:
            return {"exit": end.code, "error": said.getvalue().strip()[-2000:]}
        config = parsed.kv_events_config
        if config is not None and not isinstance(config, self._config):
            return {"exit": 1, "error": f"kv_events_config became a {type(config)}"}
        return {"exit": 0, "config": dataclasses.asdict(config) if config else None}

    def publish(self, request: Answer) -> Answer:
        """Start the publisher that the release would start for this configuration."""
        events = importlib.import_module("vllm.distributed.kv_events")
        config = self._config(**request["config"])
        ranks = [request["rank"]] if request["rank"] else []  # 0.9.0 has none
        self._publisher = events.EventPublisherFactory.create(config, *ranks)
        return {"publisher": type(self._publisher).__name__}

    def emit(self, request: Answer) -> Answer:
        """Publish one BlockStored; fields that this release has besides are left at their defaults."""
        events = importlib.import_module("vllm.distributed.kv_events")
        known = events.BlockStored.__struct_fields__
        fields = {
            "block_hashes": [request["hash"]],
            "parent_block_hash": None,
            "token_ids": list(range(16)),
            "block_size": 16,
            "lora_id": None,
            "medium": "GPU",
            "lora_name": None,
        }
        stored = events.BlockStored(**{name: fields[name] for name in fields if name in known})
        self._publisher.publish(events.KVEventBatch(ts=time.time(), events=[stored]))
        return {}

    def close(self, request: Answer) -> Answer:
        """End the publisher."""
        self._publisher.shutdown()
        self._publisher = None
        return {}


def main() -> None:
    """Answer until stdin ends. What the release itself prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    stubs.install()
    release = Release()
    do: dict[str, Callable[[Answer], Answer]] = {
        name: getattr(release, name) for name in ("parse", "publish", "emit", "close")
    }
    print(json.dumps({"file": sys.modules["vllm"].__file__}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = do[request["do"]](request)
        except Exception as error:  # the test judges what the release raises
            answer = {"exit": 1, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
