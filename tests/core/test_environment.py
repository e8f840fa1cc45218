"""What a container reads in its variables, held against a second reading of the kubelet's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.objects import Json
from core.scenes import MARK, gateway_of
from kvsync.core.environment import effective_value, is_referenced, reads
from kvsync.core.gateway import plan_gateway, plan_release
from kvsync.core.patch import apply
from kvsync.model.workload import Container, Deployment

REFERENCE = {"configMapKeyRef": {"name": "c", "key": "k"}}
NAMES = ["A", "B", "C"]


def container(*env: Json, **fields: object) -> Container:
    return Container(0, {"name": "x", "env": list(env), **fields})


def variable(name: str, value: str) -> Json:
    return {"name": name, "value": value}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("plain", "plain"),
        ("$(MODE)", "remote"),
        ("<$(MODE)>$(MODE)", "<remote>remote"),
        ("$$(MODE)", "$(MODE)"),
        ("$$$(MODE)", "$remote"),
        ("$(LATER)", "$(LATER)"),
        ("$(NOWHERE)", "$(NOWHERE)"),
        ("$(MODE", "$(MODE"),
        ("$MODE 5$", "$MODE 5$"),
        ("$()", "$()"),
        ("", ""),
        ("$(REFERENCE)", None),
        # A Service of that name may put it in.
        ("$(REDIS_SERVICE_HOST)", None),
        ("$(REDIS_PORT)", None),
    ],
)
def test_references_are_followed_as_the_kubelet_does(text: str, read: str | None) -> None:
    found = container(
        variable("MODE", "remote"),
        {"name": "REFERENCE", "valueFrom": REFERENCE},
        variable("X", text),
        variable("LATER", "1"),
    )
    assert effective_value(found, "X") == read


def test_of_several_definitions_the_last_one_counts() -> None:
    twice = container(variable("X", "1"), variable("X", "2"))
    assert reads(twice, "X", "2")
    referenced = container(variable("X", "1"), {"name": "X", "valueFrom": REFERENCE})
    assert effective_value(referenced, "X") is None
    assert is_referenced(referenced, "X")
    plain = container({"name": "X", "valueFrom": REFERENCE}, variable("X", "1"))
    assert reads(plain, "X", "1")
    assert not is_referenced(plain, "X")


def test_env_from_stands_below_and_makes_the_rest_unknown() -> None:
    source = [{"configMapRef": {"name": "c"}}]
    found = container(variable("X", "1"), variable("Y", "$(Z)"), envFrom=source)
    assert effective_value(found, "X") == "1"
    assert effective_value(found, "ABSENT") is None
    assert effective_value(found, "Y") is None, "the ConfigMap may define Z"
    assert effective_value(container(), "ABSENT") == ""


def expand(text: str, known: dict[str, str]) -> str:
    """The kubelet's ``expansion.Expand`` character by character."""
    out, at = "", 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            out, at = out + text[at], at + 1
        elif text[at + 1] == "$":
            out, at = out + "$", at + 2
        elif text[at + 1] == "(" and (end := text.find(")", at + 2)) >= 0:
            name = text[at + 2 : end]
            out, at = out + known.get(name, f"$({name})"), end + 1
        else:
            out, at = out + text[at : at + 2], at + 2
    return out


@given(
    env=st.lists(
        st.tuples(st.sampled_from(NAMES), st.text(alphabet="$()ABC1", max_size=12)), max_size=6
    )
)
def test_any_text_is_read_as_the_kubelet_reads_it(env: list[tuple[str, str]]) -> None:
    known: dict[str, str] = {}
    for name, text in env:
        known[name] = expand(text, known)
    found = container(*(variable(name, text) for name, text in env))
    assert {name: effective_value(found, name) for name in known} == known


def test_a_text_that_comes_to_the_wanted_value_is_not_rewritten() -> None:
    env = [variable("MODE", "remote"), variable("KIND", "$(MODE)"), variable("FLAG", "false")]
    body = gateway_of(env=env)
    wanted = {"KIND": "remote", "FLAG": "true"}
    made = plan_gateway(Deployment(body), "gateway-plugin", wanted, MARK, 1)
    after = apply(body, made.patch)
    found = Deployment(after).containers[0]
    assert found.env("KIND") == "$(MODE)"
    assert found.env("FLAG") == "true"
    assert plan_gateway(Deployment(after), "gateway-plugin", wanted, MARK, 2).patch == ()
    assert apply(after, plan_release(Deployment(after), MARK))["spec"] == body["spec"]


def test_one_that_follows_another_of_ours_is_right_after_one_patch() -> None:
    # Setting FLAG makes KIND wrong: both are written at once, not with a second restart.
    body = gateway_of(env=[variable("FLAG", "x"), variable("KIND", "$(FLAG)")])
    wanted = {"FLAG": "true", "KIND": "x"}
    made = plan_gateway(Deployment(body), "gateway-plugin", wanted, MARK, 1)
    after = apply(body, made.patch)
    assert {name: Deployment(after).containers[0].env(name) for name in wanted} == wanted
    assert plan_gateway(Deployment(after), "gateway-plugin", wanted, MARK, 2).patch == ()
    assert apply(after, plan_release(Deployment(after), MARK))["spec"] == body["spec"]


def test_what_only_env_from_might_set_is_written_and_undone_to_absence() -> None:
    body = gateway_of(env=[variable("LOG", "1")])
    plugin = body["spec"]["template"]["spec"]["containers"][0]
    plugin["envFrom"] = [{"configMapRef": {"name": "c"}}]
    made = plan_gateway(Deployment(body), "gateway-plugin", {"FLAG": "true"}, MARK, 1)
    after = apply(body, made.patch)
    assert Deployment(after).containers[0].env("FLAG") == "true"
    assert apply(after, plan_release(Deployment(after), MARK))["spec"] == body["spec"]


@given(text=st.text(alphabet="$()FLAG1", min_size=1, max_size=12))
def test_whatever_is_wanted_one_patch_is_enough(text: str) -> None:
    body = gateway_of(env=[variable("FLAG", "$(FLAG)"), variable("LOG", "$(FLAG)")])
    wanted = {"FLAG": text, "LOG": "true"}
    made = plan_gateway(Deployment(body), "gateway-plugin", wanted, MARK, 1)
    after = apply(body, made.patch)
    assert plan_gateway(Deployment(after), "gateway-plugin", wanted, MARK, 2).patch == ()
