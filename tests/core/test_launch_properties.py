"""However an engine is started and whatever its owner configured: one plan, exact undo, one configuration."""

import copy
import shlex

from hypothesis import given
from hypothesis import strategies as st

from core.objects import Json, ask
from core.strategies import (
    EDITS,
    SCRIPT_EDITS,
    SPECS,
    deployments,
    edit,
    engine_of,
    engines,
    scripted_engines,
)
from core.test_plan_properties import reverted, without_empty
from kvsync.core.event_config.read import find_event_config
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.planned import Outcome
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment

SCRIPTED = deployments(scripted_engines())
OWN = deployments(engines(own_config=True))


def made_of(body: Json, spec: KVEventSyncSpec) -> tuple[Outcome, Json]:
    """What planning comes to, held to what must always hold."""
    kept = copy.deepcopy(body)
    made = plan(Deployment(body), ask(spec))
    after: Json = apply(body, made.patch)
    assert body == kept, "planning changed what it was given"
    assert apply(after, made.undo) == body
    assert reverted(after) == body
    again = plan(Deployment(after), ask(spec, at=2_000))
    assert (again.outcome is Outcome.REFUSED) == (made.outcome is Outcome.REFUSED)
    assert (again.patch, again.undo) == ((), ())
    return made.outcome, after


@given(body=SCRIPTED, spec=SPECS)
def test_a_scripted_engine_gets_one_configuration_and_loses_it_again(
    body: Json, spec: KVEventSyncSpec
) -> None:
    outcome, after = made_of(body, spec)
    assert outcome is Outcome.CHANGE
    engine = engine_of(after)
    texts = [*engine.get("command", []), *engine.get("args", [])]
    texts += [item.get("value", "") for item in engine.get("env") or []]
    assert sum(text.count("--kv-events-config=") for text in texts) == 1
    found = next(text for text in texts if "--kv-events-config=" in text)
    words = [w for w in _split(found) if w.startswith("--kv-events-config=")]
    config = find_event_config(words)
    assert config is not None
    assert config.problem == ""
    assert config.settings["topic"] == spec.events.topic


def _split(text: str) -> list[str]:
    """As a shell splits it, or, where it is a value that a shell only splits at blanks, as that."""
    return (
        text.split()
        if text.lstrip().startswith("--") and "'" not in text
        else shlex.split(text, True)
    )


@given(body=SCRIPTED, spec=SPECS, names=st.lists(st.sampled_from(sorted(SCRIPT_EDITS)), min_size=1))
def test_edits_beside_ours_in_a_script_survive(
    body: Json, spec: KVEventSyncSpec, names: list[str]
) -> None:
    _, edited = made_of(body, spec)
    edited, expected = copy.deepcopy(edited), copy.deepcopy(body)
    edit(names, edited, expected, kinds=SCRIPT_EDITS)
    assert reverted(edited) == expected


@given(body=OWN, spec=SPECS)
def test_an_owners_configuration_is_kept_merged_or_refused_and_comes_back(
    body: Json, spec: KVEventSyncSpec
) -> None:
    outcome, after = made_of(body, spec)
    engine = engine_of(after)
    words = [*engine.get("command", []), *engine.get("args", [])]
    own = [*engine_of(body).get("command", []), *engine_of(body).get("args", [])]
    found = find_event_config(words)
    if outcome is Outcome.REFUSED or found is None:
        assert (after, found is None) == (body, False)
        return
    assert found.problem == ""
    if words != own:  # what we write is never dotted, never beside another, never half read
        assert (found.count <= 1, found.partly_read) == (True, False)
        assert len(found.spans) == 1


@given(body=OWN, spec=SPECS, names=EDITS)
def test_edits_beside_a_merged_configuration_survive(
    body: Json, spec: KVEventSyncSpec, names: list[str]
) -> None:
    outcome, edited = made_of(body, spec)
    edited, expected = copy.deepcopy(edited), copy.deepcopy(body)
    edit(names, edited, expected)
    left = without_empty(reverted(edited))
    # A piece of ours that was torn apart from what it replaced comes back beside it.
    for key in ("command", "args"):
        assert sorted(engine_of(left).get(key) or []) == sorted(
            engine_of(without_empty(expected)).get(key) or []
        ), outcome
        for side in (left, expected):
            engine_of(side).pop(key, None)
    assert without_empty(left) == without_empty(expected)
