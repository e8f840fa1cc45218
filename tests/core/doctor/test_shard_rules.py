"""Whether each object is served by one of several operators."""

from typing import Any

import pytest

from core.doctor.installations import HOME, deployment, healthy
from kvsync.core.doctor.examine import examine
from kvsync.core.doctor.facts import OperatorFacts
from kvsync.core.doctor.finding import Finding, Mark
from kvsync.model.observed import KVEventSync
from kvsync.model.workload import Deployment


def operator(name: str, selector: str = "", namespaces: str = "") -> Deployment:
    env = {
        "KVSYNC_OBJECT_SELECTOR": selector,
        "KVSYNC_LEASE_NAME": name,
        "KVSYNC_NAMESPACES": namespaces,
    }
    return deployment(HOME, name, "kvsync-operator:0.1.0", env=env)


def sync(label: str, server: str = "") -> KVEventSync:
    metadata: dict[str, Any] = {"name": "kv", "namespace": "team", "labels": {"shard": label}}
    return KVEventSync(
        {"metadata": metadata, "status": {"shard": {"name": server}} if server else {}}
    )


def found(*operators: Deployment, listed: KVEventSync, check: str = "shards") -> list[Finding]:
    facts = healthy(operator=OperatorFacts(operators), listed=(listed,))
    return [finding for finding in examine(facts).findings if finding.check == check]


A, B = operator("a", "shard=a"), operator("b", "shard=b")


@pytest.mark.parametrize(
    ("operators", "listed", "mark", "said"),
    [
        ((A, B), sync("a", f"{HOME}/a"), Mark.GOOD, "Each of 1 objects"),
        ((A, B), sync("a"), Mark.GOOD, "Each of 1 objects"),
        (
            (A, B),
            sync("c"),
            Mark.WRONG,
            f"No operator serves it by its labels: {HOME}/a (shard=a), ",
        ),
        ((A, B), sync("c", f"{HOME}/a"), Mark.WRONG, "waits for its finalizer"),
        ((A, B), sync("a", f"{HOME}/b"), Mark.OPEN, f"Shard {HOME}/b has not let go of it yet"),
        ((A, operator("c")), sync("a"), Mark.OPEN, "(shard=a) and "),
        ((A, operator("c", namespaces="else")), sync("b"), Mark.WRONG, "(all objects)"),
        ((operator("c"),), sync("a", f"{HOME}/gone"), Mark.OPEN, f"Shard {HOME}/gone"),
    ],
)
def test_an_object_that_not_one_alone_serves_is_named(
    operators: tuple[Deployment, ...], listed: KVEventSync, mark: Mark, said: str
) -> None:
    (finding,) = found(*operators, listed=listed)
    assert finding.mark is mark
    assert said in finding.seen
    assert (mark is Mark.GOOD) == (finding.remedy == "")


def test_operators_without_selectors_are_not_spoken_of() -> None:
    assert found(operator("c"), listed=sync("a")) == []


def test_several_operators_are_as_they_should_be_where_each_has_a_selector() -> None:
    listed = sync("a")
    both = found(A, B, listed=listed, check="operator")
    assert not [f for f in both if "There are 2 operators" in f.seen]
    one = found(A, operator("c"), listed=listed, check="operator")
    assert [f for f in one if "There are 2 operators" in f.seen]
