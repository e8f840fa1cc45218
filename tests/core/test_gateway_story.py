"""Objects that come, change their minds and go, in any order, before one gateway."""

import copy
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.companions import endpoint
from core.objects import TEMPLATES, Json, ask, deployment, spec_of
from core.scenes import (
    EVERY_TOKENIZER,
    NOW,
    applied,
    condition,
    flag_is_on,
    gateway_of,
    model,
    pod_of,
    rolled_out,
    seen_gateway,
    verdict_on,
)
from kvsync.core.decide import decide
from kvsync.core.gateway import owners_of
from kvsync.core.moment import timestamp
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.model.decision import Decision
from kvsync.model.observed import (
    FINALIZER,
    EngineAnswers,
    KVEventSync,
    Observed,
    ObservedModel,
)
from kvsync.model.record import Owner
from kvsync.model.source import Verdict
from kvsync.model.standing import Standing
from kvsync.model.workload import Deployment

ENV = [{"name": "AIBRIX_KV_EVENT_SYNC_ENABLED", "value": "false"}, {"name": "LOG", "value": "1"}]
URLS = ("", "http://x:1", "http://y:1")
NAMES = ("a", "b", "c")


@dataclass
class Thing:
    """One object with one model that works, or does not for a while."""

    name: str
    model: ObservedModel
    verdict: Verdict
    url: str = ""
    works: bool = True
    leaving: bool = False

    @property
    def mark(self) -> str:
        return f"{self.name}/kv"


def thing(name: str, size: int, url: str) -> Thing:
    body = deployment(name=name)
    body["metadata"]["namespace"] = name
    made = plan(Deployment(body), ask(owner=Owner(name, "kv", name), at=9_990))
    done = rolled_out(copy.deepcopy(apply(body, made.patch)))
    pod = pod_of(done)
    one = model(done, pod, answers={pod.uid: EngineAnswers("0.16.0", size)})
    return Thing(name, one, verdict_on(pod), url)


class Stage:
    """A gateway, the objects before it, and how often it was restarted."""

    def __init__(self) -> None:
        self.gateway = gateway_of(env=ENV)
        self.things: dict[str, Thing] = {}
        self.standings: dict[str, Standing] = {}
        self.restarts = 0

    def look(self, one: Thing) -> Decision:
        """One pass over an object, its writes on the gateway carried out."""
        metadata: Json = {"namespace": one.name, "name": "kv", "uid": one.name, "generation": 1}
        metadata["finalizers"] = [FINALIZER]
        if one.leaving:
            metadata["deletionTimestamp"] = timestamp(NOW)
        verdict = one.verdict if one.works else replace(one.verdict, verified=False)
        decision = decide(
            Observed(
                sync=KVEventSync({"metadata": metadata}),
                spec=spec_of(gateway=endpoint(one.url)),
                models=(one.model,),
                gateway=replace(seen_gateway(self.gateway), tokenizers=EVERY_TOKENIZER),
                strays=(),
                verdicts={verdict.key: verdict},
                now=NOW,
                others=tuple(s for name, s in self.standings.items() if name != one.name),
            ),
            TEMPLATES,
        )
        self.standings[one.name] = decision.standing or Standing(one.mark)
        for action in decision.actions:
            if action.namespace == "aibrix-system":
                self.write(applied(self.gateway, action))
        return decision

    def write(self, after: Json) -> None:
        if after["spec"] != self.gateway["spec"]:
            self.restarts += 1
            if flag_is_on(after) and not flag_is_on(self.gateway):
                assert any(one.works for one in self.things.values()), "trusted before verified"
        self.gateway = after

    def settle(self) -> dict[str, Decision]:
        """Everybody looks until nobody writes; what each said last."""
        for _ in range(8):
            before = (copy.deepcopy(self.gateway), dict(self.standings))
            said = {name: self.look(one) for name, one in sorted(self.things.items())}
            gone = [one for one in self.things.values() if one.leaving and self.is_out(one)]
            for one in gone:
                del self.things[one.name], self.standings[one.name]
            if before == (self.gateway, self.standings):
                return said
        raise AssertionError("it never comes to rest")

    def is_out(self, one: Thing) -> bool:
        return one.mark not in owners_of(Deployment(self.gateway))

    def happen(self, event: str, name: str, choice: int) -> None:
        one = self.things.get(name)
        if event == "come" and one is None:
            self.things[name] = thing(name, (16, 16, 32)[choice], URLS[choice % 2])
        elif one is not None and event == "name":
            one.url = URLS[choice]
        elif one is not None and event == "go":
            one.leaving = True
        elif one is not None and event in ("fail", "heal"):
            one.works = event == "heal"

    def contradiction(self) -> bool:
        urls = {one.url for one in self.things.values()} - {""}
        sizes = {
            answer.block_size
            for one in self.things.values()
            for answer in (one.model.answers or {}).values()
        }
        return len(urls) > 1 or len(sizes) > 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "name", "go", "fail", "heal"]),
        st.sampled_from(NAMES),
        st.integers(0, 2),
    ),
    max_size=12,
)


@settings(max_examples=120, deadline=None)
@given(steps=STEPS)
def test_in_any_order_it_restarts_only_for_what_changes_and_is_restored(
    steps: list[tuple[str, str, int]],
) -> None:
    stage = Stage()
    original: Any = copy.deepcopy(stage.gateway)
    for step in steps:
        before, restarts, held = env(stage.gateway), stage.restarts, stage.contradiction()
        stage.happen(*step)
        said = stage.settle()
        made = stage.restarts - restarts
        if made < 2:
            assert made == (env(stage.gateway) != before)
        else:  # Who frees a gateway that another one waits for has it restored, and then told anew.
            assert (made, held, step[0]) == (2, True, "go")
        if stage.contradiction():
            reasons = {condition(d.status, "GatewayConfigured")[1] for d in said.values()}
            assert reasons == {"Conflict"}
            assert step[0] == "go" or stage.restarts == restarts
    for one in stage.things.values():
        one.leaving = True
    stage.settle()
    stage.gateway["metadata"].pop("annotations", None)
    assert stage.gateway == original


def env(gateway: Json) -> list[Json]:
    found: list[Json] = gateway["spec"]["template"]["spec"]["containers"][0]["env"]
    return found


def test_the_story_of_two() -> None:
    stage = Stage()
    original = env(stage.gateway)
    stage.happen("come", "a", 0)
    stage.happen("come", "b", 0)
    stage.settle()
    assert (stage.restarts, flag_is_on(stage.gateway)) == (1, True), "enabled together"
    stage.happen("name", "a", 1)
    stage.settle()
    assert stage.restarts == 2, "an endpoint"
    stage.happen("name", "b", 2)
    told = env(stage.gateway)
    said = stage.settle()
    assert {condition(d.status, "GatewayConfigured") for d in said.values()} == {
        ("False", "Conflict")
    }
    assert env(stage.gateway) == told
    stage.happen("name", "b", 1)
    said = stage.settle()
    assert {condition(d.status, "Ready")[0] for d in said.values()} == {"True"}
    stage.happen("go", "a", 0)
    stage.settle()
    assert (stage.restarts, env(stage.gateway)) == (2, told)
    stage.happen("go", "b", 0)
    stage.settle()
    assert (stage.restarts, env(stage.gateway)) == (3, original)
