"""For every Deployment that can have a relay: one patch, nothing the second time, the original back."""

import copy
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from core.objects import Json, ask, event_config, spec_of
from core.strategies import EDITS, deployments, edit, engine_of
from kvsync.core.contest import is_undone
from kvsync.core.patch import apply
from kvsync.core.plan import plan, plan_undo
from kvsync.core.planned import Outcome
from kvsync.model.record import OUR_ANNOTATIONS, RECORD_ANNOTATION
from kvsync.model.relay import RELAY_CONTAINER, RELAY_VOLUME, RelayForm, RelayMeans
from kvsync.model.workload import Deployment

ALWAYS = spec_of(events={"relay": {"mode": "Always"}}, engine={"dialect": "ConfigJSON"})
OFF = spec_of(engine={"dialect": "ConfigJSON"})
MEANS = st.builds(RelayMeans, st.just("kvsync-operator:1"), st.sampled_from(RelayForm))


def relayed(body: Json, means: RelayMeans, at: int = 1_000) -> Json:
    made = plan(Deployment(body), ask(ALWAYS, relays=means, at=at))
    assert made.outcome is Outcome.CHANGE, made.refusal
    after: Json = copy.deepcopy(apply(body, made.patch))
    return after


def reverted(body: Json) -> Json:
    after: Json = apply(body, plan_undo(Deployment(body)))
    return after


def sidecars(body: Json) -> list[Json]:
    spec = body["spec"]["template"]["spec"]
    bodies = [*spec.get("initContainers", []), *spec["containers"]]
    return [each for each in bodies if each["name"] == RELAY_CONTAINER]


@given(body=deployments(), means=MEANS)
def test_one_relay_that_the_engine_publishes_to(body: Json, means: RelayMeans) -> None:
    after = relayed(body, means)
    (sidecar,) = sidecars(after)
    engine = engine_of(after)
    config = event_config([*engine.get("command", []), *engine.get("args", [])])
    assert f"--upstream={config['endpoint']}" in sidecar["args"]
    assert f"--upstream-replay={config['replay_endpoint']}" in sidecar["args"]
    assert "*" not in config["endpoint"], "the engine would listen, not connect"
    assert engine.get("ports") == engine_of(body).get("ports")
    volumes = after["spec"]["template"]["spec"]["volumes"]
    assert [each["name"] for each in volumes].count(RELAY_VOLUME) == 1
    again = plan(Deployment(after), ask(ALWAYS, relays=means, at=2_000))
    assert (again.outcome, again.patch) == (Outcome.UNCHANGED, ())


@given(body=deployments(), means=MEANS)
def test_all_ways_back_give_the_original(body: Json, means: RelayMeans) -> None:
    made = plan(Deployment(body), ask(ALWAYS, relays=means))
    after = apply(body, made.patch)
    assert apply(after, made.undo) == body
    assert reverted(after) == body


@given(body=deployments(), means=MEANS, names=EDITS)
def test_edits_survive_the_way_back(body: Json, means: RelayMeans, names: list[str]) -> None:
    edited, expected = relayed(body, means), copy.deepcopy(body)
    edit(names, edited, expected)
    assert without_empty(reverted(edited)) == without_empty(expected)


def without_empty(body: Json) -> Json:
    result = copy.deepcopy(body)
    for key in ("args", "ports", "env"):
        if not engine_of(result).get(key):
            engine_of(result).pop(key, None)
    return result


@given(body=deployments(), means=MEANS, names=EDITS)
def test_after_edits_the_plan_settles_again(
    body: Json, means: RelayMeans, names: list[str]
) -> None:
    edited = relayed(body, means)
    edit(names, edited)
    made = plan(Deployment(edited), ask(ALWAYS, relays=means, at=2_000))
    after = apply(edited, made.patch)
    again = plan(Deployment(after), ask(ALWAYS, relays=means, at=3_000))
    assert again.outcome is Outcome.UNCHANGED
    assert len(sidecars(after)) == 1


@given(body=deployments(), means=MEANS)
def test_on_and_off_again(body: Json, means: RelayMeans) -> None:
    plain = apply(body, plan(Deployment(body), ask(OFF)).patch)
    on = relayed(plain, means, at=2_000)
    off = plan(Deployment(on), ask(OFF, at=3_000))
    after = apply(on, off.patch)
    assert sidecars(after) == []
    assert after["spec"] == plain["spec"]
    assert reverted(after) == body


@given(body=deployments(), means=MEANS, other=MEANS)
def test_another_operator_or_cluster_restarts_nothing(
    body: Json, means: RelayMeans, other: RelayMeans
) -> None:
    after = relayed(body, means)
    newer = RelayMeans(f"{other.image}-newer", other.form)
    again = plan(Deployment(after), ask(ALWAYS, relays=newer, at=2_000))
    assert (again.outcome, again.patch) == (Outcome.UNCHANGED, ())
    unknown = plan(Deployment(after), ask(ALWAYS, relays=RelayMeans(), at=2_000))
    assert unknown.outcome is Outcome.UNCHANGED


@given(body=deployments(), means=MEANS)
def test_a_lost_record_leaves_no_relay_behind(body: Json, means: RelayMeans) -> None:
    after = relayed(body, means)
    del after["metadata"]["annotations"][RECORD_ANNOTATION]
    clean = reverted(after)
    assert sidecars(clean) == []
    spec = clean["spec"]["template"]["spec"]
    assert RELAY_VOLUME not in [each["name"] for each in spec.get("volumes", [])]
    assert OUR_ANNOTATIONS[0] not in (clean["metadata"].get("annotations") or {})
    repaired = plan(Deployment(after), ask(ALWAYS, relays=means, at=2_000))
    again = apply(after, repaired.patch)
    assert len(sidecars(again)) == 1


@given(body=deployments(), means=MEANS)
def test_what_the_api_server_fills_in_is_no_difference(body: Json, means: RelayMeans) -> None:
    after = relayed(body, means)
    (sidecar,) = sidecars(after)
    sidecar |= {
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    sidecar["livenessProbe"] |= {"successThreshold": 1}
    sidecar["livenessProbe"]["httpGet"] |= {"scheme": "HTTP"}
    again = plan(Deployment(after), ask(ALWAYS, relays=means, at=2_000))
    assert again.outcome is Outcome.UNCHANGED
    assert reverted(after) == body


def _no_arguments(template: Json, sidecar: Json) -> None:
    del sidecar["args"]


def _no_volume(template: Json, sidecar: Json) -> None:
    template["volumes"] = [v for v in template["volumes"] if v["name"] != RELAY_VOLUME]


def _no_limits(template: Json, sidecar: Json) -> None:
    sidecar["resources"] = {}


def _no_sidecar(template: Json, sidecar: Json) -> None:
    for key in ("initContainers", "containers"):
        template[key] = [c for c in template.get(key, []) if c["name"] != RELAY_CONTAINER]


DAMAGE = st.sampled_from([_no_arguments, _no_volume, _no_limits, _no_sidecar])


@given(body=deployments(), means=MEANS)
def test_an_image_that_a_policy_rewrote_is_let_be(body: Json, means: RelayMeans) -> None:
    after = relayed(body, means)
    sidecars(after)[0]["image"] = "mirror.example/kvsync-operator:1"
    assert not is_undone(Deployment(after), ask(ALWAYS))
    assert plan(Deployment(after), ask(ALWAYS, at=2_000)).outcome is Outcome.UNCHANGED
    assert reverted(after) == body


@given(body=deployments(), means=MEANS, damage=DAMAGE)
def test_what_somebody_did_to_it_is_mended_and_never_stays_behind(
    body: Json, means: RelayMeans, damage: Callable[[Json, Json], None]
) -> None:
    after = relayed(body, means)
    spec = after["spec"]["template"]["spec"]
    damage(spec, sidecars(after)[0])
    assert is_undone(Deployment(after), ask(ALWAYS))
    clean = reverted(after)["spec"]["template"]["spec"]
    original = body["spec"]["template"]["spec"]
    for key in ("initContainers", "volumes"):
        assert (clean.get(key) or []) == (original.get(key) or [])
    assert clean["containers"] == original["containers"]
    made = plan(Deployment(after), ask(ALWAYS, relays=means, at=2_000))
    mended = apply(after, made.patch)
    assert plan(Deployment(mended), ask(ALWAYS, at=3_000)).outcome is Outcome.UNCHANGED
    assert len(sidecars(mended)) == 1
