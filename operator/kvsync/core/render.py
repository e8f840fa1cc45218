"""What a dialect's template makes of the event settings: arguments, or environment variables.

Templates are text handed in (``adapters.templates`` reads them); rendering is a pure function of
text and values. They yield YAML, so that a template can be read and replaced by its users.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kvsync.model.spec import Dialect, EngineType, EventsSpec

Templates = Mapping[str, str]
"""Template text by its path below ``templates/``."""

ENGINE_TEMPLATES = {
    (EngineType.VLLM, Dialect.CONFIG_JSON): "engines/vllm-config-json.yaml.j2",
    (EngineType.VLLM, Dialect.FLAGS): "engines/vllm-flags.yaml.j2",
    (EngineType.SGLANG, Dialect.CONFIG_JSON): "engines/sglang-config-json.yaml.j2",
}
GATEWAY_TEMPLATE = "gateway/environment.yaml.j2"
QUICKSTART_TEMPLATE = "quickstart/model-with-kv-events.yaml.j2"


class TemplateRenderError(ValueError):
    """A template is missing, uses a value that does not exist, or yields something else than it must."""


def _json(value: Any) -> str:
    # Jinja's own tojson escapes < > & ' for HTML, which would change what the engine reads.
    return json.dumps(value, separators=(",", ":"))


def _quote(value: str) -> str:
    # YAML's single quotes leave JSON readable; the only escape in them is the quote itself.
    return "'" + value.replace("'", "''") + "'"


def render(templates: Templates, name: str, /, **values: Any) -> str:
    """The template's text with the values filled in.

    Raises:
        TemplateRenderError: no such template, or it uses a value that does not exist.
    """
    if name not in templates:
        raise TemplateRenderError(f"there is no template {name!r}")
    try:
        return _compiled(templates[name]).render(**values)
    except TemplateError as error:
        raise TemplateRenderError(f"template {name!r}: {error}") from error


@lru_cache(maxsize=32)
def _compiled(text: str) -> Template:
    # Compiling takes 3 ms, rendering 0.05: each pass renders the same few texts for every model.
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    environment.filters["json"] = _json
    environment.filters["quote"] = _quote
    return environment.from_string(text)


def engine_arguments(
    templates: Templates, engine: EngineType, dialect: Dialect, events: EventsSpec
) -> tuple[str, ...]:
    """The words to append to the engine's command line.

    Raises:
        TemplateRenderError: the template does not yield a list of strings.
    """
    name = ENGINE_TEMPLATES[engine, dialect]
    return _engine_words(name, templates.get(name), events)


@lru_cache(maxsize=256)
def _engine_words(name: str, text: str | None, events: EventsSpec) -> tuple[str, ...]:
    # All models of an object have the same; it takes 0.1 ms, and each pass asks twice for each of them.
    words = _yaml(name, render({} if text is None else {name: text}, name, events=events))
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TemplateRenderError(f"template {name!r} must yield a YAML list of strings")
    return tuple(words)


def gateway_variables(templates: Templates, **values: Any) -> dict[str, str]:
    """The gateway's environment, in the template's order.

    Raises:
        TemplateRenderError: the template does not yield a map of strings.
    """
    variables = _yaml(GATEWAY_TEMPLATE, render(templates, GATEWAY_TEMPLATE, **values))
    if not isinstance(variables, dict) or not all(
        isinstance(item, str) for pair in variables.items() for item in pair
    ):
        raise TemplateRenderError(f"template {GATEWAY_TEMPLATE!r} must yield a map of strings")
    return dict(variables)


def _yaml(name: str, text: str) -> Any:
    try:
        return _parsed(text)
    except yaml.YAMLError as error:
        raise TemplateRenderError(f"template {name!r} does not yield YAML: {error}") from error


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    # Most of a pass otherwise; the callers hand out copies.
    return yaml.safe_load(text)
