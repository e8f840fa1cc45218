"""What is remembered of a workload is what would be derived of it now."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.objects import deployment
from kvsync.model.decision import Kind
from kvsync.model.record import FIELD_MANAGER, OWNER_ANNOTATION
from kvsync.model.workload import Deployment
from kvsync.shell.traits import Traits, trait_of


def body_of(labels: dict[str, str], owner: str, *, held: bool) -> dict[str, Any]:
    body = deployment(name="m")
    body["metadata"] |= {"labels": labels, "uid": "u"}
    if owner:
        body["metadata"]["annotations"] = {OWNER_ANNOTATION: f"default/kv/{owner}"}
    if held:
        entry = {"manager": FIELD_MANAGER, "operation": "Update", "fieldsV1": {"f:spec": {}}}
        body["metadata"]["managedFields"] = [entry]
    return body


states = st.builds(
    body_of,
    st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2),
    st.sampled_from(["", "uid-1", "uid-2"]),
    held=st.booleans(),
)


@given(st.lists(states | st.just("again") | st.just("gone")))
def test_a_memory_is_never_behind(changes: list[Any]) -> None:
    traits, now = Traits(), Deployment(deployment(name="m"))
    for change in changes:
        if change == "gone":
            traits.forget(Kind.DEPLOYMENT, now.namespace, now.name)
        elif change != "again":
            now = Deployment(change)
        assert traits.of(now) == trait_of(now)
        assert traits.of(now) is traits.of(now)
