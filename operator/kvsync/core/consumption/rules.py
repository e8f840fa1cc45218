"""What keeps a gateway from using the events of one source, one rule a fact.

Sources: AIBrix ``pkg/kvevent/manager.go`` (which pods), ``pkg/cache/kvcache/zmq_client.go`` (ports,
decoding), ``pkg/cache/kvcache/tokenizer_pool.go``, ``pkg/utils/syncprefixcacheindexer`` (blocks).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kvsync.core.consumption.gateway import Gateway
from kvsync.core.consumption.issue import Issue
from kvsync.core.consumption.settings import BLOCK_SIZE, TOKEN_BYTES, TOKENIZER_TEMPLATE
from kvsync.core.consumption.subject import Subject
from kvsync.core.desired import EVENTS_LABEL, MODEL_LABEL
from kvsync.core.engines import ENGINES
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_RELEASES, GATEWAY_REPLAY_PORT
from kvsync.core.subscribed import GROUP_LABEL, RAY_LABEL, is_follower, is_number
from kvsync.model.finding import VersionSource
from kvsync.model.reasons import ConditionReason
from kvsync.model.spec import RelayMode

LORA_LABEL = "model.aibrix.ai/lora-id"
_NO_LORA = -1

_SAYS = {
    VersionSource.SPEC: "spec.engine.version,",
    VersionSource.TAG: "the image's tag,",
    VersionSource.RUNNING: "the engine's /version,",
    VersionSource.UNKNOWN: "an unknown release,",
}
_ON_PURPOSE = "So that it does not wait for them, such pods are not labelled for it."


@dataclass(frozen=True, slots=True)
class Case:
    """One source before one gateway, beside all the others."""

    subject: Subject
    gateway: Gateway
    sizes: frozenset[int]
    """The block sizes of all sources, as far as they are known."""


def issues_of(case: Case) -> Iterator[Issue]:
    """All that can be said of one source."""
    found = (rule(case) for rule in RULES)
    return (issue for issue in found if issue is not None)


def _layout(case: Case) -> Issue | None:
    """What was seen counts; a release only where nothing was seen, for a tag may name what it likes."""
    subject, release = case.subject, case.gateway.release
    layout = subject.seen_layout or subject.told_layout
    if layout is None:
        return Issue(
            ConditionReason.ENGINE_VERSION_UNKNOWN,
            "no event was seen yet and the engine's release is unknown",
            "Send a prompt of more than one block, or set spec.engine.version.",
            certain=False,
        )
    layouts = release.layouts if release else GATEWAY_RELEASES[-1].layouts
    if layout in layouts or not layouts:
        return None  # One that decodes nothing is too old, which is said of the gateway.
    return Issue(
        ConditionReason.EVENT_LAYOUT,
        f"events are {layout}s, {_how_known(subject)}, which {_decoder(case.gateway)} does not decode",
        _other_layout(case),
        certain=release is not None,
    )


def _by_relay(subject: Subject, does: str) -> str:
    """The way out by a relay, as a sentence; empty where the object has asked for one already."""
    if subject.part.events.relay.mode is not RelayMode.OFF:
        return ""
    return f"Set spec.events.relay.mode to Auto: a relay in each pod {does}. "


def _other_layout(case: Case) -> str:
    """What to do about a layout that the gateway does not decode."""
    other = "Or use vLLM before 0.24 (SGLang before 0.5.20)."
    way = _by_relay(case.subject, "translates them")
    if way:
        return f"It routes as without them. {way}{other}"
    if case.gateway.release is None:
        way = "If it does not decode them, set spec.events.relay.mode to Always. "
    else:
        way = "These models cannot have a relay (RelayUnsupported). "
    return f"It routes as without them. {way}{other}"


def _decoder(gateway: Gateway) -> str:
    return gateway.title if gateway.version else f"AIBrix up to {GATEWAY_RELEASES[-1].since}"


def _how_known(subject: Subject) -> str:
    engine = subject.part.engine
    release = f"{_SAYS[engine.version_source]} {ENGINES[engine.type].name} {engine.version}"
    if subject.seen_layout is None:
        return f"by {release}"
    if subject.told_layout in (None, subject.seen_layout):
        return "as seen on the wire"
    return f"as seen on the wire against {release}"


def _ranks(case: Case) -> Issue | None:
    if not case.subject.has_ranks:
        return None
    return Issue(
        ConditionReason.DATA_PARALLEL_RANKS,
        "one of several data-parallel ranks of its pod",
        f"The gateway hears only rank 0, and asks for replays on {GATEWAY_REPLAY_PORT}, where rank "
        f"1 publishes. {_by_relay(case.subject, 'publishes for all ranks')}{_ON_PURPOSE}",
    )


def _ports(case: Case) -> Issue | None:
    port, replay_port = case.subject.ports
    if case.subject.has_ranks or case.subject.is_looked_for:
        return None
    return Issue(
        ConditionReason.GATEWAY_PORTS,
        f"publishes on {port} and replays on {replay_port or 'no port'}",
        f"The gateway looks on {GATEWAY_PORT} and {GATEWAY_REPLAY_PORT} only. "
        f"{_by_relay(case.subject, 'publishes there')}{_ON_PURPOSE}",
    )


def _passed_over(case: Case) -> Issue | None:
    labels = case.subject.pod.labels if case.subject.pod else {}
    group = labels.get(GROUP_LABEL, "")
    if labels.get(RAY_LABEL) == "worker":
        which = f"a Ray worker ({RAY_LABEL})"
    elif is_follower(labels):
        which = f"number {int(group)} of its pod group ({GROUP_LABEL})"
    else:
        return None
    return Issue(
        ConditionReason.POD_PASSED_OVER,
        which,
        "The gateway passes such pods over. Publish from the head or first pod of each group.",
    )


def _label(case: Case) -> Issue | None:
    """What is not where the gateway looks is not labelled on purpose, and has reasons of its own."""
    pod = case.subject.pod
    text = pod.labels.get(EVENTS_LABEL) if pod else "true"
    if text == "true" or not case.subject.is_looked_for or case.subject.awaits_its_label:
        return None
    return Issue(
        ConditionReason.EVENTS_LABEL_MISSING,
        f"label {EVENTS_LABEL} is {'absent' if text is None else repr(text)}",
        "The gateway subscribes to pods where it is exactly 'true'. Set it on the pod, and see what "
        "took it off.",
    )


def _name(case: Case) -> Issue | None:
    pod = case.subject.pod
    if pod is None or pod.labels.get(MODEL_LABEL) or pod.annotations.get(MODEL_LABEL):
        return None
    return Issue(
        ConditionReason.MODEL_NAME_MISSING,
        f"neither label nor annotation {MODEL_LABEL}",
        "The gateway subscribes to no pod whose model it does not know. Set it on the pod template.",
    )


def _lora(case: Case) -> Issue | None:
    text = case.subject.pod.labels.get(LORA_LABEL, "") if case.subject.pod else ""
    if not is_number(text) or int(text) == _NO_LORA:
        return None
    return Issue(
        ConditionReason.LORA_LABEL,
        f"label {LORA_LABEL} is set",
        "The gateway keeps such a pod's events under that id, where no prompt is looked up. Remove "
        "the label.",
    )


def _tokenized(case: Case) -> Issue | None:
    if case.subject.tokenized:
        return None
    engine = case.subject.part.engine
    return Issue(
        ConditionReason.ENGINE_NOT_TOKENIZED,
        f"no tokenizer is asked for {ENGINES[engine.type].name}",
        "The gateway asks pods labelled model.aibrix.ai/engine: vllm or that declare port 8000, and "
        "compares characters of others. Serve on --port 8000 and declare that port.",
    )


def _tokenizer_port(case: Case) -> Issue | None:
    settings, port = case.gateway.settings, case.subject.part.engine.http_port
    asked = settings.tokenizer_port if settings else None
    if asked is None or asked == port:
        return None
    return Issue(
        ConditionReason.TOKENIZER_PORT,
        f"serves on port {port}",
        f"The gateway asks pods to tokenize on port {asked}. Give all models one --port, and set "
        f"{TOKENIZER_TEMPLATE} to it.",
    )


def _block_size(case: Case) -> Issue | None:
    size, settings = case.subject.block_size, case.gateway.settings
    told = settings.block_bytes if settings else None
    differ = len(case.sizes) > 1
    if size is None or told == TOKEN_BYTES * size or (told is None and not differ):
        return None
    compares = f"; the gateway compares {told} bytes" if told else ""
    return Issue(
        ConditionReason.BLOCK_SIZE,
        f"stores blocks of {size} tokens ({TOKEN_BYTES * size} bytes){compares}",
        "One gateway compares one size only. Give the models one --block-size, or leave some to "
        "another gateway."
        if differ
        else f"Set {BLOCK_SIZE} of the gateway to {TOKEN_BYTES * size}.",
    )


RULES: tuple[Callable[[Case], Issue | None], ...] = (
    _layout,
    _ranks,
    _ports,
    _passed_over,
    _label,
    _name,
    _lora,
    _tokenized,
    _tokenizer_port,
    _block_size,
)
