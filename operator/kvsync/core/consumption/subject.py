"""A source as a gateway meets it: its pod, where it publishes, what was seen of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kvsync.core.assess import ModelView
from kvsync.core.desired import ENGINE_LABEL
from kvsync.core.planned import Part
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT, release_of
from kvsync.core.targets import block_factor
from kvsync.model.events import EventLayout
from kvsync.model.observed import Observed, ObservedModel
from kvsync.model.source import SourceReason, Target, Verdict
from kvsync.model.spec import EngineLabels
from kvsync.model.storm import role_of
from kvsync.model.workload import Container, Pod

_TOKENIZER_PORT = 8000


@dataclass(frozen=True, slots=True)
class Subject:
    """One source; or, where no pod of an engine runs yet, the engine as it is planned (``pod`` None)."""

    model: str
    part: Part
    ranks: int
    """How many data-parallel ranks of its pod publish."""
    told_layout: EventLayout | None
    """How its engine's release writes events; None where that is not known."""
    tokenized: bool
    """Whether the gateway asks any pod of its model to tokenize."""
    pod: Pod | None = None
    target: Target | None = None
    verdict: Verdict | None = None
    told_block_size: int | None = None
    """Tokens a block as its engine says, or another one of its model."""
    labelled_late: bool = False
    """Whether its pod gets the gateway's label only once its source is verified."""

    @property
    def place(self) -> tuple[str, str, int]:
        """Where it stands in a list."""
        return (self.model, self.pod.name if self.pod else "", self.rank)

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        if self.pod is None:
            return self.model
        return f"{self.pod.name} rank {self.rank}" if self.rank else self.pod.name

    @property
    def rank(self) -> int:
        """Its data-parallel rank."""
        return self.verdict.key.rank if self.verdict is not None else 0

    @property
    def ports(self) -> tuple[int, int]:
        """Where it publishes and where it replays."""
        if self.target is not None:
            return (self.target.port, self.target.replay_port)
        return (self.part.events.port, self.part.events.replay_port)

    @property
    def is_looked_for(self) -> bool:
        """Whether it is where the gateway looks; any other pod is not labelled for it, on purpose."""
        return not self.has_ranks and self.ports == (GATEWAY_PORT, GATEWAY_REPLAY_PORT)

    @property
    def awaits_its_label(self) -> bool:
        """Whether its pod gets its label when its source is verified, and it is not."""
        return self.labelled_late and not (self.verdict is not None and self.verdict.verified)

    @property
    def has_ranks(self) -> bool:
        """Whether it is one of several data-parallel ranks of its pod."""
        return self.rank > 0 or self.ranks > 1

    @property
    def seen_layout(self) -> EventLayout | None:
        """How it writes events, as seen on the wire."""
        return self.verdict.layout if self.verdict else None

    @property
    def block_size(self) -> int | None:
        """Tokens a block: as seen on the wire, else as told."""
        seen = self.verdict.block_size if self.verdict else None
        return seen or self.told_block_size


def subjects_of(view: ModelView, observed: Observed) -> Iterator[Subject]:
    """The sources of a model, and its engines of which nothing runs yet."""
    model = next((m for m in observed.models if m.name == view.name), None)
    parts = view.plan.parts if view.plan else ()
    live = list(_live(view, model, parts)) if model else []
    tokenized = _is_tokenized(view, live)
    late = observed.spec.engine.labels is EngineLabels.WHEN_VERIFIED
    answers = (model.answers if model else None) or {}
    for part in parts:
        ranks, factor = part.sources, block_factor(part)
        layout = _told_layout(part)
        sources = [each for each in live if each[0] is part]
        if not sources:
            yield Subject(
                view.name, part, ranks, layout, tokenized, told_block_size=view.block_size
            )
        for _, pod, target, verdict in sources:
            own = answers[pod.uid].block_size if pod.uid in answers else None
            told = own * factor if own else view.block_size
            yield Subject(
                view.name, part, ranks, layout, tokenized, pod, target, verdict, told, late
            )


def _told_layout(part: Part) -> EventLayout | None:
    """How its pods write events by what is known of the engine; a relay writes arrays for any of them."""
    if part.relay is not None:
        return EventLayout.ARRAY
    release = release_of(part.engine)
    return release.layout if release else None


_Live = tuple[Part, Pod, Target | None, Verdict]


def _live(view: ModelView, model: ObservedModel, parts: Sequence[Part]) -> Iterator[_Live]:
    """The running sources. A pod without our arguments publishes nothing that could be judged, but one
    that lacks a label alone does."""
    pods: Mapping[str, Pod] = {pod.uid: pod for pod in model.pods}
    targets = {target.key: target for target in view.targets}
    for verdict in view.verdicts:
        pod, target = pods.get(verdict.key.uid), targets.get(verdict.key)
        part = next((p for p in parts if pod and p.covers(pod)), None)
        if pod is None or part is None:
            continue
        if target is not None or _lacks_a_label_alone(pod, part, verdict):
            yield part, pod, target, verdict


def _lacks_a_label_alone(pod: Pod, part: Part, verdict: Verdict) -> bool:
    container = pod.container(part.desired.container)
    published = container is not None and part.desired.is_carried_by(container)
    return verdict.settled and verdict.reason is SourceReason.NOT_INJECTED and published


def _is_tokenized(view: ModelView, live: Sequence[_Live]) -> bool:
    """Whether the gateway asks any pod of a model to tokenize (AIBrix ``tokenizer_pool.go``)."""
    if live:
        pods = {pod.uid: pod for _, pod, _, _ in live}.values()
        return any(_tokenizes({**p.annotations, **p.labels}, p.containers) for p in pods)
    parts = {part.role: part for part in (view.plan.parts if view.plan else ())}
    return any(
        _tokenizes({**each.template_labels, **part.desired.labels}, each.containers)
        for each in (view.deployment.templates if view.deployment else ())
        if (part := parts.get(role_of(each))) is not None
    )


def _tokenizes(marks: Mapping[str, str], containers: Sequence[Container]) -> bool:
    declared = {port.get("containerPort") for c in containers for port in c.ports}
    named = any(c.env("INFERENCE_ENGINE") == "vllm" for c in containers)
    return marks.get(ENGINE_LABEL) == "vllm" or named or _TOKENIZER_PORT in declared
