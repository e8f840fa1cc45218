"""Whatever runs before whatever gateway: Compatible is said exactly of what the stand-in of a gateway,
written by itself after AIBrix, would subscribe to, decode and match."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from core.gateways import KEYS, PREFIX, TOLD, judged, running, variables, verdict
from core.objects import Json, spec_of
from core.scenes import gateway_of
from kvsync.core.compatibility import Compatibility
from kvsync.model.events import EventLayout
from kvsync.model.observed import ObservedModel
from kvsync.model.source import Verdict
from testbed.gateway import pods, releases
from testbed.gateway.prefix_index import NO_LORA
from testbed.gateway.settings import Verdict as Outcome
from testbed.gateway.settings import judge, read

IMAGES = ["v0.4.1", "v0.5.0", "v0.6.0", "v0.7.0", "v0.7.0", "v0.7.0"]
CHANGES = {
    "KV_EVENT_SYNC_ENABLED": ["true", "1", "false", "yes", None],
    "USE_REMOTE_TOKENIZER": ["true", "True", "0", None],
    "TOKENIZER_TYPE": ["remote", "character", None],
    "REMOTE_TOKENIZER_ENDPOINT": ["http://m:8000", "", None],
    "BLOCK_SIZE": ["64", "128", "+64", "x", "0", None],
}
LABELS: dict[str, list[str | None]] = {
    "events": ["true", "True", "", None],
    "name": ["model", "", None],
    "engine": ["vllm", "other", None],
    "lora": [None, "-1", "0", "5", "adapter"],
    "ray": [None, "head", "worker"],
    "group": [None, "0", "1", "-1", "x"],
}


@dataclass(frozen=True)
class Case:
    """A gateway by image and variables, models, and what was seen of their sources."""

    image: str
    env: dict[str, str]
    models: list[ObservedModel]
    verdicts: list[Verdict]

    def judged(self, models: list[ObservedModel] | None = None) -> Compatibility:
        return judged(
            *(self.models if models is None else models),
            verdicts=self.verdicts,
            gateway=gateway_of(env=variables(self.env), image=self.image),
            spec=spec_of(gateway={"manage": False}),
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    env = dict(TOLD)
    for name in draw(st.sets(st.sampled_from(sorted(CHANGES)), max_size=2)):
        value = draw(st.sampled_from(CHANGES[name]))
        env.pop(PREFIX + name)
        env |= {PREFIX + name: value} if value is not None else {}
    models, verdicts = [], []
    for name in ["a", "b", "c"][: draw(st.integers(1, 3))]:
        one = running(name, draw(st.integers(1, 2)), image=draw(st.sampled_from(TAGS)))
        for pod in one.pods:
            if draw(st.booleans()):
                relabel(draw, pod.body["metadata"]["labels"])
            layout = draw(st.sampled_from([None, *EventLayout]))
            size = draw(st.sampled_from([None, 16, 16, 32]))
            verdicts.append(verdict(pod, layout, size))
        models.append(one)
    return Case(draw(st.sampled_from(IMAGES)), env, models, verdicts)


TAGS = ["v0.16.0", "v0.16.0", "v0.24.0"]


def relabel(draw: st.DrawFn, labels: Json) -> None:
    """Change one label of a live pod."""
    key = draw(st.sampled_from(sorted(LABELS)))
    value = draw(st.sampled_from(LABELS[key]))
    labels.pop(KEYS[key], None)
    labels.update({KEYS[key]: value} if value is not None else {})


def gateway_uses(case: Case) -> bool:
    """Whether the stand-in subscribes at all, to a release whose router asks the events' index."""
    release = releases.release_of(f"aibrix/gateway-plugins:{case.image}")
    told, _ = judge(read(case.env, release))
    return told is Outcome.START and release.decodes_arrays and release.shared_index


def uses(case: Case, one: ObservedModel) -> bool:
    """Whether it can use every source of a model."""
    block = read(case.env, releases.RELEASES[-1]).block_size
    seen = {look.key.uid: look for look in case.verdicts}
    told = EventLayout.MAP if "v0.24.0" in one.pods[0].containers[0].image else EventLayout.ARRAY
    # A pod that lost a label of ours is not probed any more: of it the release is all that is known.
    assert one.deployment is not None
    ours = one.deployment.template_labels.items()
    looks = [seen[p.uid] if ours <= p.labels.items() else verdict(p) for p in one.pods]
    views = [(pods.pod_of(pod.body), look) for pod, look in zip(one.pods, looks, strict=True)]
    return any(pod.tokenizes for pod, _ in views) and all(
        pods.subscribable(pod)
        and pod.context[1] == NO_LORA
        and (look.layout or told) is EventLayout.ARRAY
        and 4 * (look.block_size or 16) == block
        for pod, look in views
    )


@given(case=cases())
def test_compatible_is_what_a_gateway_can_use(case: Case) -> None:
    found, general = case.judged(), gateway_uses(case)
    expected = {one.name: general and uses(case, one) for one in case.models}
    assert {name: word == "Compatible" for name, word in found.models.items()} == expected
    assert found.finding[0] == str(all(expected.values()))


@settings(max_examples=25)
@given(case=cases(), data=st.data())
def test_the_order_of_models_pods_and_verdicts_does_not_matter(
    case: Case, data: st.DataObject
) -> None:
    other = Case(
        case.image,
        case.env,
        [turned(one) for one in data.draw(st.permutations(case.models))],
        data.draw(st.permutations(case.verdicts)),
    )
    assert other.judged() == case.judged()


def turned(one: ObservedModel) -> ObservedModel:
    """The same model with its pods in the other order."""
    return ObservedModel(one.name, one.selected, one.deployment, one.pods[::-1], one.answers)


@settings(max_examples=25)
@given(case=cases())
def test_the_condition_is_the_worst_of_what_is_said_of_models(case: Case) -> None:
    found = case.judged()
    assert len(found.finding[2]) < 1024
    if found.finding[0] != "True":
        assert found.finding[1] in found.models.values()
