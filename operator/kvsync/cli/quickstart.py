"""``kvsync quickstart``: a manifest of a new model that publishes KV events from its first start."""

from __future__ import annotations

import re
from collections.abc import Mapping

import click

from kvsync.adapters.templates import read_templates
from kvsync.core.render import QUICKSTART_TEMPLATE, engine_arguments, render
from kvsync.model.spec import Dialect, EngineType, EventsSpec

DEFAULT_IMAGE = "vllm/vllm-openai:v0.23.0"
"""The newest release whose events a released gateway decodes."""

_NAME = re.compile(r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")


@click.command()
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True, help="Its namespace.")
@click.option(
    "--model",
    default="Qwen/Qwen2.5-1.5B-Instruct",
    show_default=True,
    help="What vLLM serves: a name on the model hub, or a path in the container.",
)
@click.option("--image", default=DEFAULT_IMAGE, show_default=True, help="The engine's image.")
@click.option("--replicas", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--gpus", type=click.IntRange(0), default=1, show_default=True, help="GPUs a pod; 0: none."
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="HTTP port."
)
@click.option(
    "--templates", metavar="FOLDER", envvar="KVSYNC_TEMPLATES", help="Templates to use instead."
)
def quickstart(
    name: str,
    namespace: str,
    model: str,
    image: str,
    replicas: int,
    gpus: int,
    port: int,
    templates: str | None,
) -> None:
    """Print Deployment, Service and KVEventSync of a new model NAME.

    NAME is that of the Service, of the label model.aibrix.ai/name and of the served model: the
    gateway expects them to be the same. Pipe the output into kubectl apply -f -.
    """
    if not _NAME.match(name):
        raise click.BadParameter(
            "must be lower-case letters, digits and '-', begin with a letter, at most 63 long",
            param_hint="NAME",
        )
    click.echo(
        manifest(
            read_templates(templates),
            name=name,
            namespace=namespace,
            model=model,
            image=image,
            replicas=replicas,
            gpus=gpus,
            http_port=port,
        ),
        nl=False,
    )


def manifest(templates: Mapping[str, str], **values: object) -> str:
    """The rendered manifest.

    Raises:
        TemplateRenderError: a template is broken.
    """
    events = EventsSpec()
    return render(
        templates,
        QUICKSTART_TEMPLATE,
        events=events,
        arguments=engine_arguments(templates, EngineType.VLLM, Dialect.CONFIG_JSON, events),
        **values,
    )
