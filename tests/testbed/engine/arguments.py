"""The command line, read as vLLM's own parser reads it.

Follows ``FlexibleArgumentParser`` of vLLM: underscores and dashes are the same in names, unique
prefixes are enough, ``--a.b value`` builds JSON, the last of several wins, unknown ones end it.
"""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from testbed.engine.flags import human_int, known_flags
from testbed.engine.versions import Build

_NAME = re.compile(r"(?<=--)[^.]*")
_COMMANDS = ("chat", "complete", "serve", "bench", "collect-env", "run-batch")


class UsageError(Exception):
    """A command line that vLLM refuses with an exception rather than through argparse."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line that was accepted, and the names of options given more than once."""

    options: argparse.Namespace
    duplicates: tuple[str, ...] = ()


def parse_serve(build: Build, arguments: Sequence[str]) -> CommandLine:
    """``vllm ARGUMENTS``: exits 2 through argparse, raises UsageError for a bad ``--config``."""
    return _parse(_serve_parser(build), _model_first(list(arguments)))


@cache
def _serve_parser(build: Build) -> argparse.ArgumentParser:
    """Made once for each build: a process of many engines would spend most of its time on it."""
    parser = argparse.ArgumentParser(prog="vllm")
    parser.add_argument("-v", "--version", action="version", version=str(build.version))
    commands = parser.add_subparsers(dest="subparser", required=True)
    for name in _COMMANDS:
        command = commands.add_parser(name, usage=f"vllm {name} [model_tag] [options]")
        if name == "serve":
            command.add_argument("model_tag", nargs="?")
            _add_flags(command, build)
    return parser


def parse_api_server(build: Build, arguments: Sequence[str]) -> CommandLine:
    """``python3 -m vllm.entrypoints.openai.api_server ARGUMENTS``; fails as parse_serve does."""
    parser = argparse.ArgumentParser(prog="api_server.py")
    _add_flags(parser, build)
    parser.set_defaults(model_tag=None, subparser="serve")
    return _parse(parser, list(arguments))


def _add_flags(parser: argparse.ArgumentParser, build: Build) -> None:
    for flag in known_flags(build):
        parser.add_argument(*flag.spellings(), **flag.options)


def _parse(parser: argparse.ArgumentParser, arguments: list[str]) -> CommandLine:
    arguments = _with_config_file(arguments)
    folded, duplicates = _fold_dotted([_spell(argument) for argument in arguments])
    return CommandLine(parser.parse_args(folded), duplicates)


def _model_first(arguments: list[str]) -> list[str]:
    """``serve --model M`` means ``serve M``, wherever it stands."""
    if arguments[:1] != ["serve"]:
        return arguments
    for index, argument in enumerate(arguments):
        if argument.startswith("--model="):
            model, rest = argument.removeprefix("--model="), arguments[index + 1 :]
        elif argument == "--model" and arguments[index + 1 :]:
            model, rest = arguments[index + 1], arguments[index + 2 :]
        else:
            continue
        return ["serve", model, *arguments[1:index], *rest]
    return arguments


def _spell(argument: str) -> str:
    """Dashes for underscores in an option's name, not in its value nor after the first dot."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return _NAME.sub(lambda m: m[0].replace("_", "-"), name, count=1) + equals + value


def _fold_dotted(arguments: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Dotted options gathered into one JSON value each, at the end.

    As they come last they win over the same option given as JSON, which is how vLLM drops it.
    """
    plain: list[str] = []
    nested: dict[str, dict[str, Any]] = {}
    pending = iter(arguments)
    for argument in pending:
        name, equals, value = argument.partition("=")
        if not (argument.startswith("-") and "." in name):
            plain.append(argument)
            continue
        key, *path = name.split(".")
        _put(nested.setdefault(key, {}), path, value if equals else next(pending, ""))
    names = [a.partition("=")[0] for a in plain if a.startswith("--")]
    duplicates = tuple(sorted({name for name in names if names.count(name) > 1}))
    for key, tree in nested.items():
        plain += [key, json.dumps(tree)]
    return plain, duplicates


def _put(target: dict[str, Any], path: list[str], text: str) -> None:
    *folders, last = path
    for folder in folders:
        target = target.setdefault(folder, {})
    if last.endswith("+"):
        target[last[:-1]] = target.get(last[:-1], []) + text.split(",")
    else:
        target[last] = _json_value(text)


def _json_value(text: str) -> Any:
    for read in (json.loads, human_int):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _with_config_file(arguments: list[str]) -> list[str]:
    """The options of ``--config FILE`` put before the command line's own, which win over them."""
    if "--config" not in arguments:
        return arguments
    index = arguments.index("--config")
    if index + 1 == len(arguments):
        raise UsageError("No config file specified! Please check your command-line arguments.")
    from_file = config_options(Path(arguments[index + 1]))
    own = arguments[:index] + arguments[index + 2 :]
    head = 0
    if own[:1] == ["serve"]:
        head = 2 if len(own) > 1 and not own[1].startswith("-") else 1
    return own[:head] + from_file + own[head:]


def config_options(path: Path) -> list[str]:
    """What a YAML file of options says, as words of a command line; raises UsageError."""
    import yaml  # noqa: PLC0415 - few command lines need it, and all starts would pay for it

    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"Config file must be of a yaml/yml type. {path.suffix[1:]} supplied")
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"Unable to read the config file at {path}: {error}") from error
    options: list[str] = []
    for key, value in (values or {}).items():
        options += _config_option(f"--{key}", value)
    return options


def _config_option(name: str, value: Any) -> list[str]:
    match value:
        case True:
            return [name]
        case False:
            return []
        case list():
            return [name, *map(str, value)] if value else []
        case dict():
            return [name, json.dumps(value)]
        case _:
            return [name, str(value)]
