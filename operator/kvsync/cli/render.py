"""``kvsync render``: what would be changed on manifests, for Git, without a cluster."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from kvsync.adapters.manifests import Document, ManifestError, dump_manifest, read_manifests
from kvsync.adapters.templates import read_templates
from kvsync.cli.options import relay_options
from kvsync.cli.policy_options import FORM, Reader
from kvsync.cli.render_slot import ADVICE, argocd_for_slot, slot_kinds
from kvsync.core.manifest import Rendered, is_workload, render_manifest, restore_manifest, selects
from kvsync.core.manifest_policy import Network, is_policy
from kvsync.core.planned import Outcome
from kvsync.core.render import Templates
from kvsync.core.slot_manifest import with_slot, without_slot
from kvsync.model.fields import SpecError
from kvsync.model.network import NetworkPolicy, Peer
from kvsync.model.record import Owner
from kvsync.model.relay import RelayMeans, form_in
from kvsync.model.spec import Dialect, EngineType, KVEventSyncSpec, RelayMode
from kvsync.model.version import Version

_EVERY = {"models": {"names": ["every"]}}

FIELDS = {
    "engine_type": ("engine", "type"),
    "container": ("engine", "container"),
    "dialect": ("engine", "dialect"),
    "engine_version": ("engine", "version"),
    "port": ("events", "port"),
    "replay_port": ("events", "replayPort"),
    "topic": ("events", "topic"),
    "buffer_steps": ("events", "bufferSteps"),
    "hwm": ("events", "hwm"),
    "max_queue_size": ("events", "maxQueueSize"),
    "relay": ("events", "relay", "mode"),
}
"""Options that stand for fields of the object's spec."""


@click.command()
@click.option(
    "-f",
    "--filename",
    "sources",
    multiple=True,
    required=True,
    metavar="FILE|FOLDER|-",
    help="Manifests; a folder is read to its bottom. May be repeated.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["diff", "yaml", "json", "argocd"]),
    default="diff",
    show_default=True,
    help="diff: what changes. yaml: all objects, ready for Git. json: the plan as data. "
    "argocd: with --slot, what the Application ignores.",
)
@click.option("--undo", is_flag=True, help="Take back what an earlier render wrote.")
@click.option(
    "--slot",
    is_flag=True,
    help="Add a slot instead: one value that the manifest leaves to the operator. With --undo, take it out.",
)
@click.option("--strict", is_flag=True, help="Exit code 1 when a workload is refused.")
@click.option("--cr", metavar="FILE", help="A KVEventSync; it selects the workloads.")
@click.option("--engine-type", type=click.Choice([e.value for e in EngineType]))
@click.option("--container", metavar="NAME", help="The engine's container, if not found.")
@click.option("--dialect", type=click.Choice([d.value for d in Dialect]))
@click.option("--engine-version", metavar="X.Y.Z", help="Where no image tag tells it.")
@click.option("--port", type=int, help="spec.events.port")
@click.option("--replay-port", type=int, help="spec.events.replayPort")
@click.option("--topic", help="spec.events.topic")
@click.option("--buffer-steps", type=int, help="spec.events.bufferSteps")
@click.option("--hwm", type=int, help="spec.events.hwm")
@click.option("--max-queue-size", type=int, help="spec.events.maxQueueSize")
@click.option(
    "--relay", type=click.Choice([m.value for m in RelayMode]), help="spec.events.relay.mode"
)
@click.option(
    "--network-policy",
    "readers",
    multiple=True,
    type=Reader(),
    metavar=FORM,
    help="Add a NetworkPolicy for each model, by which of all pods only these reach its event ports: "
    "name the gateway's and the operator's. Repeatable.",
)
@relay_options
@click.option(
    "--templates", metavar="FOLDER", envvar="KVSYNC_TEMPLATES", help="Templates to use instead."
)
def render(
    *,
    sources: tuple[str, ...],
    output: str,
    undo: bool,
    slot: bool,
    strict: bool,
    cr: str | None,
    templates: str | None,
    readers: tuple[Peer, ...],
    relay_image: str,
    kubernetes_version: Version | None,
    **options: Any,
) -> None:
    """Show what a KVEventSync would change on manifests, or write them changed.

    Needs no cluster. Without --cr every Deployment and StormService is meant, and the options stand for the
    object's fields. Other objects pass through as they are. Refusals go to stderr, each with its
    reason and remedy. The running engine cannot be asked: where no tag tells the version, give
    --engine-version or --dialect. Nor is the gateway: with --relay Auto a model gets a relay where
    AIBrix's newest release would need one.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if cr and given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        raise click.UsageError(f"{names}: the object given by --cr says that already")
    if slot and readers:
        raise click.UsageError("--slot takes no --network-policy: render them apart")
    if output == "argocd" and not slot:
        raise click.UsageError("-o argocd needs --slot: that is what an Application ignores")
    if undo and readers:
        raise click.UsageError("--undo takes no --network-policy: delete the policy's own manifest")
    order = _Order.read(cr) if cr else _Order.from_options(given)
    relays = RelayMeans(relay_image, form_in(kubernetes_version))
    documents = list(read_manifests(sources))
    known = tuple(NetworkPolicy(each.body) for each in documents if is_policy(each.body))
    network = Network(readers, known) if readers else None
    work = _Work(order, read_templates(templates), relays, network, undo=undo, slot=slot)
    done = [(document, *work.render(document)) for document in documents]
    rendered = [one for _, _, found in done for one in found]
    _complain(rendered)
    found = [one.rendered for one in rendered]
    if slot and not undo and output != "argocd" and slot_kinds(found):
        click.echo(ADVICE + argocd_for_slot(found), err=True, nl=False)
    match output:
        case "json":
            click.echo(json.dumps([one.rendered.entry() for one in rendered], indent=2))
        case "argocd":
            click.echo(argocd_for_slot(found), nl=False)
        case "yaml":
            click.echo("".join(_all_as_yaml(done)), nl=False)
        case _:
            click.echo("".join(map(_as_diff, rendered)), nl=False)
    if strict and any(one.rendered.outcome is Outcome.REFUSED for one in rendered):
        sys.exit(1)


@dataclass(frozen=True, slots=True)
class _Order:
    """The object that asks for it; ``owner`` None: options, for every workload."""

    spec: KVEventSyncSpec
    owner: Owner | None
    namespace: str | None

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> _Order:
        spec: dict[str, Any] = {**_EVERY, "engine": {}, "events": {}}
        for name, value in given.items():
            *sections, field = FIELDS[name]
            target = spec
            for section in sections:
                target = target.setdefault(section, {})
            target[field] = value
        try:
            return cls(KVEventSyncSpec.from_manifest(spec), None, None)
        except SpecError as error:
            raise click.UsageError(str(error)) from error

    @classmethod
    def read(cls, path: str) -> _Order:
        found = [
            document
            for document in read_manifests([path])
            if isinstance(document.body, Mapping) and document.body.get("kind") == "KVEventSync"
        ]
        if len(found) != 1:
            raise ManifestError(f"{path}: holds {len(found)} KVEventSyncs; give one")
        body, where = found[0].body, found[0].where
        metadata = body.get("metadata") or {}
        try:
            spec = KVEventSyncSpec.from_manifest(body.get("spec") or {})
        except SpecError as error:
            raise ManifestError(f"{where}: {error}") from error
        namespace, name = metadata.get("namespace"), str(metadata.get("name") or "-")
        return cls(spec, Owner(str(namespace or "default"), name, "-"), namespace)

    def means(self, body: Mapping[str, Any]) -> bool:
        return self.owner is None or selects(self.spec, self.namespace, body)


@dataclass(frozen=True, slots=True)
class _One:
    """A workload as read, what became of it, and where it stands."""

    before: Mapping[str, Any]
    rendered: Rendered
    where: str


class _Work:
    """Renders documents, and the items of lists in them."""

    def __init__(
        self,
        order: _Order,
        templates: Templates,
        relays: RelayMeans,
        network: Network | None,
        *,
        undo: bool,
        slot: bool,
    ) -> None:
        self._order = order
        self._network = network
        self._relays = relays
        self._templates = templates
        self._slot = slot
        self._undo = undo

    def render(self, document: Document) -> tuple[Any, list[_One]]:
        """The document's body as it shall be, and the workloads found in it."""
        found: list[_One] = []
        return self._body(document.body, document.where, found), found

    def _body(self, body: Any, where: str, found: list[_One]) -> Any:
        if _is_list(body):
            return {**body, "items": [self._body(item, where, found) for item in body["items"]]}
        if not is_workload(body) or not self._order.means(body):
            return body
        try:
            rendered = self._rendered(body)
        except ValueError as error:
            raise ManifestError(f"{where}: {error}") from error
        found.append(_One(body, rendered, where))
        return rendered.body

    def _rendered(self, body: Mapping[str, Any]) -> Rendered:
        if self._slot:
            return without_slot(body) if self._undo else with_slot(body, self._order.spec.engine)
        if self._undo:
            return restore_manifest(body)
        order = self._order
        return render_manifest(
            body, order.spec, self._templates, order.owner, self._relays, self._network
        )


def _is_list(body: Any) -> bool:
    return (
        isinstance(body, Mapping)
        and str(body.get("kind", "")).endswith("List")
        and isinstance(body.get("items"), list)
    )


def _complain(rendered: list[_One]) -> None:
    for one in rendered:
        if one.rendered.outcome is Outcome.REFUSED:
            message = f"{one.where}: refused ({one.rendered.reason}): {one.rendered.message}"
            click.secho(message, fg="red", err=True)


def _all_as_yaml(done: list[tuple[Document, Any, list[_One]]]) -> Iterator[str]:
    """Everything that was read, with new policies behind what they are for; none is there twice."""
    new = {
        _place(policy) for _, _, found in done for one in found for policy in one.rendered.policies
    }
    for document, body, found in done:
        if not (is_policy(body) and _place(body) in new):
            yield _as_yaml(document, body)
        for one in found:
            yield from (f"---\n{dump_manifest(policy)}" for policy in one.rendered.policies)


def _place(body: Mapping[str, Any]) -> tuple[str, str]:
    return str(body["metadata"].get("namespace") or ""), str(body["metadata"].get("name"))


def _as_yaml(document: Document, body: Any) -> str:
    # What is not changed keeps its own text, with its comments and its order.
    text = document.text if body == document.body else dump_manifest(body)
    divider = "" if text.startswith("---") else "---\n"
    return divider + text + ("" if text.endswith("\n") else "\n")


def _as_diff(one: _One) -> str:
    return _change_as_diff(one) + "".join(map(_policy_as_diff, one.rendered.policies))


def _policy_as_diff(policy: Mapping[str, Any]) -> str:
    name = f"networkpolicy {'/'.join(filter(None, _place(policy)))}"
    lines = dump_manifest(policy).splitlines(keepends=True)
    return "".join(difflib.unified_diff([], lines, "nothing", name))


def _change_as_diff(one: _One) -> str:
    if one.rendered.outcome is not Outcome.CHANGE:
        return ""
    metadata = one.before["metadata"]
    name = f"{metadata.get('namespace') or 'default'}/{metadata['name']}"
    lines = difflib.unified_diff(
        dump_manifest(one.before).splitlines(keepends=True),
        dump_manifest(one.rendered.body).splitlines(keepends=True),
        f"{name} ({one.where})",
        name,
    )
    return "".join(lines)
