"""Models with a slot, as their owners have them in Git."""

import copy

from hypothesis import strategies as st

from core.objects import SERVE, Json
from core.strategies import ENV, PORTS, WORDS, deployments
from kvsync.core.slot import NEUTRAL, SLOT_VARIABLE, SLOT_WORD

LABELS = {"model.aibrix.ai/name": "model", "model.aibrix.ai/engine": "vllm"}
"""What a model needs beside its slot, so that nothing but a value is to be written."""

_SCRIPTS = (
    'vllm serve m "${{{0}}}"',
    "exec vllm serve m ${0} --seed 1",
    'if true; then vllm serve a "${0}"; else vllm serve b "${0}"; fi',
    "for i in 1; do vllm serve m $({0}); done",
)


@st.composite
def slotted(draw: st.DrawFn) -> Json:
    """An engine with a slot among its words, in either list, or in a script; labels in Git."""
    body: Json = {"name": "vllm", "image": draw(st.sampled_from(["v0.9.0", "v0.16.0", "v0.33.0"]))}
    body["image"] = f"vllm/vllm-openai:{body['image']}"
    item: Json = {"name": SLOT_VARIABLE, "value": draw(st.sampled_from(sorted(NEUTRAL.values())))}
    env = [{"name": "OTHER", "value": "$(KVSYNC_KV_EVENTS)"}] if draw(st.booleans()) else []
    body["env"] = [*draw(ENV), item, *env]
    if draw(st.booleans()):
        text = draw(st.sampled_from(_SCRIPTS)).format(SLOT_VARIABLE)
        body["command"] = ["sh", "-c", text]
    else:
        words = [*draw(WORDS), SLOT_WORD, *draw(WORDS)]
        split = draw(st.integers(0, len(words)))
        body["command"], body["args"] = [*SERVE, *words[:split]], words[split:]
    if draw(st.booleans()):
        body["ports"] = copy.deepcopy(draw(PORTS))
    return body


@st.composite
def slotted_deployments(draw: st.DrawFn) -> Json:
    body = draw(deployments(slotted()))
    body["spec"]["template"]["metadata"]["labels"] |= LABELS
    return body


def storm(*roles: Json) -> Json:
    """A StormService's manifest."""
    return {
        "apiVersion": "orchestration.aibrix.ai/v1alpha1",
        "kind": "StormService",
        "metadata": {"name": "s"},
        "spec": {"template": {"spec": {"roles": list(roles)}}},
    }


def role(name: str, *containers: Json) -> Json:
    """One role of it."""
    return {"name": name, "replicas": 1, "template": {"spec": {"containers": list(containers)}}}
