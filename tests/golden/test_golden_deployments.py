"""Each Deployment of the corpus comes to its expected plan: outcome, reason, patch, resulting engine.

A folder of ``deployments/`` holds the Deployment as its owner has it; ``sync.yaml``, where there is
one, the object's spec, what the running engine answered, and the cluster's release;
``expected.yaml`` what must come of it.
"""

from pathlib import Path

import pytest

from core.objects import Json, planned, spec_of
from golden.files import check, load
from kvsync.core.patch import apply
from kvsync.core.plan import plan_undo
from kvsync.core.planned import ModelPlan, Outcome
from kvsync.model.relay import RelayMeans, form_in
from kvsync.model.version import parse_version
from kvsync.model.workload import Deployment

CORPUS = Path(__file__).parent / "deployments"
CASES = sorted(path.name for path in CORPUS.iterdir())


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite-golden"))


@pytest.mark.parametrize("name", CASES)
def test_golden_deployment(name: str, rewrite: bool) -> None:
    body, sync = load(CORPUS / name / "deployment.yaml"), load(CORPUS / name / "sync.yaml")
    version = parse_version(str(sync.get("kubernetes", "")))
    relays = RelayMeans("kvsync-operator:1.2.3", form_in(version))
    spec = spec_of(**sync.get("spec", {}))
    made = planned(body, spec, running=sync.get("runningVersion"), relays=relays)
    after = apply(body, made.patch)
    check(CORPUS / name / "expected.yaml", expectation(body, made, after), rewrite=rewrite)
    assert apply(after, made.undo) == body
    assert apply(after, plan_undo(Deployment(after))) == body


def expectation(body: Json, made: ModelPlan, after: Json) -> Json:
    found: Json = {"outcome": made.outcome.value}
    if made.refusal is not None:
        return {**found, "reason": str(made.refusal.reason), "message": str(made.refusal)}
    engine = made.engine
    assert engine is not None
    container = Deployment(after).container(engine.container)
    before = Deployment(body).container(engine.container)
    assert container is not None
    assert before is not None
    found["engine"] = {
        "container": container.name,
        "version": str(engine.version) if engine.version else None,
        "found": engine.version_source.value,
        "dialect": engine.dialect.value,
        "httpPort": engine.http_port,
    }
    found["args"] = list(container.args)
    found |= {
        key: container.body.get(key)
        for key in ("command", "env")
        if container.body.get(key) != before.body.get(key)
    }
    found["ports"] = [dict(port) for port in container.ports]
    found["labels"] = dict(Deployment(after).template_labels)
    if made.notes:
        found["notes"] = [f"{note.reason}: {note.message}" for note in made.notes]
    if made.outcome is Outcome.CHANGE:
        found["restarts"] = made.restarts
        found["changes"] = [str(change) for change in made.changes]
        found["patch"] = [_readable(operation) for operation in made.patch]
    return found


def _readable(operation: Json) -> Json:
    """The record's text is no expectation of a person's: its promises have tests of their own."""
    if operation["op"] != "add" or "/annotations" not in operation["path"]:
        return operation
    if isinstance(operation["value"], dict):
        return {**operation, "value": sorted(operation["value"])}
    return {**operation, "value": "…"}


def test_the_corpus_is_worth_its_name() -> None:
    assert len(CASES) >= 60
