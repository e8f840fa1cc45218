"""For every gateway: configured once, released exactly, users' edits kept, shared without a quarrel."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from core.objects import Json
from core.scenes import MARK, gateway_of
from kvsync.core.gateway import owners_of, plan_gateway, plan_release, plan_retain
from kvsync.core.patch import apply
from kvsync.model.workload import Deployment

PLUGIN = "gateway-plugin"
OTHER = "team/other"
NAMES = ["FLAG", "ENDPOINT", "BLOCK", "KIND"]
VALUES = st.sampled_from(["", "true", "false", "64"])
WANTED = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["true", "64"]), min_size=1)
VARIABLES = st.builds(
    lambda name, value: {"name": name, "value": value},
    st.sampled_from([*NAMES, "POD_NAME", "LOG"]),
    VALUES,
)
BARE = st.sampled_from(NAMES).map(lambda name: {"name": name})
REFERENCE = st.just({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
ENVIRONMENTS = st.none() | st.lists(VARIABLES | BARE | REFERENCE, max_size=5)
ANNOTATIONS = st.none() | st.dictionaries(st.sampled_from(["note", "a/b~c"]), st.just("v"))


@st.composite
def gateways(draw: st.DrawFn) -> Json:
    body = gateway_of(env=draw(ENVIRONMENTS))
    annotations = draw(ANNOTATIONS)
    if annotations is not None:
        body["metadata"]["annotations"] = annotations
    if draw(st.booleans()):
        body["spec"]["template"]["spec"]["containers"].insert(0, {"name": "side", "image": "x"})
    return body


def configure(body: Json, wanted: Json, owner: str = MARK) -> Json:
    made = plan_gateway(Deployment(body), PLUGIN, wanted, owner, 1_000)
    assert made.refusal is None
    after: Json = copy.deepcopy(apply(body, made.patch))
    return after


def release(body: Json, owner: str = MARK) -> Json:
    after: Json = copy.deepcopy(apply(body, plan_release(Deployment(body), owner)))
    return after


def plugin_of(body: Json) -> Json:
    containers = body["spec"]["template"]["spec"]["containers"]
    found: Json = next(c for c in containers if c["name"] == PLUGIN)
    return found


def stored(body: Json) -> Json:
    """As the API server keeps it: an empty map is no map."""
    result = copy.deepcopy(body)
    if not result["metadata"].get("annotations"):
        result["metadata"].pop("annotations", None)
    return result


@settings(max_examples=60)
@given(body=gateways(), wanted=WANTED)
def test_it_reads_what_is_wanted_and_a_second_plan_is_empty(body: Json, wanted: Json) -> None:
    kept = copy.deepcopy(body)
    after = configure(body, wanted)
    assert body == kept, "planning changed what it was given"
    container = Deployment(after).container(PLUGIN)
    assert container is not None
    assert {name: container.env(name) for name in wanted} == wanted
    assert owners_of(Deployment(after)) == (MARK,)
    assert plan_gateway(Deployment(after), PLUGIN, wanted, MARK, 2_000).patch == ()


@settings(max_examples=60)
@given(body=gateways(), wanted=WANTED)
def test_released_it_is_the_original(body: Json, wanted: Json) -> None:
    after = release(configure(body, wanted))
    assert stored(after) == stored(body)
    assert plan_release(Deployment(after), MARK) == ()


@settings(max_examples=60)
@given(body=gateways(), first=WANTED, second=WANTED)
def test_released_after_other_settings_it_is_the_original(
    body: Json, first: Json, second: Json
) -> None:
    assert stored(release(configure(configure(body, first), second))) == stored(body)


@settings(max_examples=60)
@given(body=gateways(), wanted=WANTED, front=st.booleans())
def test_a_users_other_variable_stays(body: Json, wanted: Json, front: bool) -> None:
    live, expected = configure(body, wanted), copy.deepcopy(body)
    for edited in (live, expected):
        env = plugin_of(edited).setdefault("env", [])
        env.insert(0 if front else len(env), {"name": "OF_THE_USER", "value": "1"})
    assert plan_gateway(Deployment(live), PLUGIN, wanted, MARK, 2_000).patch == ()
    assert stored(release(live)) == stored(expected)


@settings(max_examples=60)
@given(body=gateways(), wanted=WANTED, data=st.data())
def test_a_variable_that_a_user_changed_since_stays_changed(
    body: Json, wanted: Json, data: st.DataObject
) -> None:
    live = configure(body, wanted)
    name = data.draw(st.sampled_from(sorted(wanted)))
    last = [item for item in plugin_of(live)["env"] if item["name"] == name][-1]
    last["value"] = "of the user"
    container = Deployment(release(live)).container(PLUGIN)
    assert container is not None
    assert container.env(name) == "of the user"


@settings(max_examples=60)
@given(body=gateways(), wanted=WANTED, first=st.sampled_from([MARK, OTHER]))
def test_of_two_that_share_it_the_last_one_restores(body: Json, wanted: Json, first: str) -> None:
    shared = configure(configure(body, wanted), wanted, OTHER)
    assert owners_of(Deployment(shared)) == tuple(sorted((MARK, OTHER)))
    one_left = release(shared, first)
    assert one_left["spec"] == shared["spec"]
    last = OTHER if first == MARK else MARK
    assert stored(release(one_left, last)) == stored(body)


@settings(max_examples=60)
@given(body=gateways(), wanted=WANTED, data=st.data())
def test_a_contradiction_changes_nothing(body: Json, wanted: Json, data: st.DataObject) -> None:
    shared = configure(body, wanted)
    name = data.draw(st.sampled_from(sorted(wanted)))
    made = plan_gateway(Deployment(shared), PLUGIN, {**wanted, name: "else"}, OTHER, 2_000)
    assert made.patch == ()
    assert made.refusal is not None
    reason, message = made.refusal
    assert reason == "Conflict"
    assert name in message
    assert MARK in message


@settings(max_examples=60)
@given(body=gateways(), wanted=WANTED)
def test_retained_it_keeps_everything_but_the_mark(body: Json, wanted: Json) -> None:
    live = configure(body, wanted)
    left = apply(live, plan_retain(Deployment(live), MARK))
    assert left["spec"] == live["spec"]
    assert owners_of(Deployment(left)) == ()
    # And who comes next takes it over as it was configured, and gives the original back.
    assert stored(release(configure(left, wanted, OTHER), OTHER)) == stored(body)


def test_a_reference_is_never_replaced() -> None:
    reference = {"name": "FLAG", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}
    body = gateway_of(env=[reference])
    made = plan_gateway(Deployment(body), PLUGIN, {"FLAG": "true"}, MARK, 1_000)
    assert made.patch == ()
    assert made.refusal is not None
    assert made.refusal[0] == "GatewayVariableReferenced"


def test_a_container_that_is_not_there_is_named_with_those_that_are() -> None:
    made = plan_gateway(Deployment(gateway_of()), "absent", {"FLAG": "true"}, MARK, 1_000)
    assert made.patch == ()
    assert made.refusal is not None
    assert made.refusal[0] == "GatewayContainerNotFound"
    assert PLUGIN in made.refusal[1]


def test_a_record_that_was_edited_is_left_to_a_person() -> None:
    live = configure(gateway_of(), {"FLAG": "true"})
    live["metadata"]["annotations"]["kvsync.aibrix.ai/record"] = "{}"
    made = plan_gateway(Deployment(live), PLUGIN, {"FLAG": "false"}, MARK, 1_000)
    assert made.patch == ()
    assert made.refusal is not None
    assert made.refusal[0] == "RecordUnreadable"
