"""The status: one truth in conditions and columns, bounded, and never older or newer than what changed."""

import json
from typing import Any

import pytest

from core.objects import Json, container, deployment, spec_of
from core.scenes import (
    NOW,
    condition,
    configured,
    decided,
    failing,
    gateway_of,
    gateway_turned_on,
    model,
    pod_of,
    rolled_out,
    sync_of,
    verdict_on,
    working,
)
from kvsync.core.moment import seconds, timestamp
from kvsync.core.summary import MAX_MESSAGE, MAX_MODELS, invalid, refused
from kvsync.model.gateway_log import GatewayReading, Start, Subscription
from kvsync.model.source import SourceReason


def status_of(*models: Any, **picture: Any) -> Json:
    found = decided(*models, **picture).status
    assert found is not None
    return dict(found)


def synchronized(**picture: Any) -> Json:
    """The status where everything is done."""
    one, verdict = working()
    gateway = gateway_turned_on()
    taken = {"default/model-0": Subscription.TAKEN}
    logs = [GatewayReading(start=Start.INITIALIZED, pods=taken)]
    return status_of(one, verdicts=[verdict], gateway=gateway, logs=logs, **picture)


def test_where_everything_is_done_every_condition_says_so() -> None:
    status = synchronized()
    found = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert found == {
        "Ready": ("True", "Synchronized"),
        "Reconciling": ("False", "Idle"),
        "Stalled": ("False", "Idle"),
        "ModelsConfigured": ("True", "Configured"),
        "EventsFlowing": ("True", "Flowing"),
        "GatewayConfigured": ("True", "Configured"),
        "GatewayCompatible": ("True", "Compatible"),
    }
    assert status["summary"] == {"models": "1/1", "sources": "1/1", "taken": "1/1"}
    assert status["sources"] == {"total": 1, "publishing": 0, "idle": 1, "failing": 0}
    assert status["gateway"]["version"] == "0.7.0"
    assert status["observedGeneration"] == 3
    assert json.loads(json.dumps(status)) == status


def test_a_model_is_described_with_how_it_is_known() -> None:
    (entry,) = synchronized()["models"]
    assert entry["container"] == "vllm"
    assert entry["engineVersion"] == "0.16.0"
    assert (entry["dialect"], entry["state"]) == ("ConfigJSON", "Ready")
    assert entry["replicas"] == {"desired": 1, "updated": 1, "available": 1}
    assert entry["verifiedRecord"] == 9_990


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    before = synchronized()
    later = synchronized(sync=sync_of(status=before), now=NOW + 500)
    assert later == before
    one, _ = working()
    broken = status_of(
        one,
        verdicts=[failing(one.pods[0])],
        sync=sync_of(status=before),
        gateway=gateway_of(),
        now=NOW + 500,
    )
    times = {c["type"]: c["lastTransitionTime"] for c in broken["conditions"]}
    assert times["Ready"] == times["EventsFlowing"] == timestamp(NOW + 500)
    assert times["ModelsConfigured"] == times["Stalled"] == timestamp(NOW)


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([], ("True", "NoModels")),
        ([model(None, name="gone")], ("True", "NoSuchDeployment")),
        ([model(rolled_out(deployment()))], ("False", "Idle")),
    ],
)
def test_stalled_only_where_a_person_must_act(models: list[Any], expected: tuple[str, str]) -> None:
    status = status_of(*models, spec=spec_of(gateway={"manage": False}))
    assert condition(status, "Stalled") == expected
    assert condition(status, "Ready")[0] == "False"


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        ({"gateway": None}, "GatewayNotFound"),
        ({"gateway": gateway_of(), "permitted": False}, "GatewayNotPermitted"),
    ],
)
def test_a_gateway_that_needs_a_person_stalls(picture: Json, reason: str) -> None:
    one, verdict = working()
    status = status_of(one, verdicts=[verdict], **picture)
    assert condition(status, "Stalled") == ("True", reason)
    assert condition(status, "Ready") == ("False", reason)


def test_what_a_gateway_cannot_decode_is_said_and_does_not_undo_readiness() -> None:
    one, verdict = working(deployment(container(image="vllm/vllm-openai:v0.24.0")))
    gateway = gateway_turned_on()
    status = status_of(one, verdicts=[verdict], gateway=gateway)
    assert condition(status, "GatewayCompatible") == ("False", "EventLayout")
    assert condition(status, "Ready") == ("True", "GatewayIncompatible")


@pytest.mark.parametrize(
    ("reason", "settled", "expected"),
    [
        (SourceReason.CONNECTING, False, ("Unknown", "Verifying")),
        (SourceReason.IDLE, True, ("False", "WaitingForTraffic")),
        (SourceReason.PORT_CLOSED, True, ("False", "PortClosed")),
    ],
)
def test_events_flow_only_where_they_were_seen(
    reason: SourceReason, settled: bool, expected: tuple[str, str]
) -> None:
    body = rolled_out(configured())
    pod = pod_of(body)
    seen = verdict_on(pod, reason, verified=False, settled=settled)
    assert condition(status_of(model(body, pod), verdicts=[seen]), "EventsFlowing") == expected


def test_a_lossy_path_is_a_reason_of_flowing_events() -> None:
    one, _ = working()
    gap = verdict_on(one.pods[0], SourceReason.SEQUENCE_GAP)
    status = status_of(one, verdicts=[gap], gateway=gateway_of())
    assert condition(status, "EventsFlowing") == ("True", "SequenceGap")
    assert status["sources"] == {"total": 1, "publishing": 1, "idle": 0, "failing": 0}


@pytest.mark.parametrize(
    ("reason", "verified", "settled", "counted"),
    [
        (SourceReason.PUBLISHING, True, True, (1, 0, 0)),
        (SourceReason.ENGINE_RESTARTED, True, True, (1, 0, 0)),
        (SourceReason.IDLE, True, True, (0, 1, 0)),
        (SourceReason.STALE, False, True, (0, 0, 1)),
        (SourceReason.PROBE_RESTARTED, True, False, (0, 0, 0)),
        (SourceReason.CONNECTING, False, False, (0, 0, 0)),
    ],
)
def test_sources_are_counted_by_what_they_do(
    reason: SourceReason, verified: bool, settled: bool, counted: tuple[int, int, int]
) -> None:
    body = rolled_out(configured())
    pod = pod_of(body)
    seen = verdict_on(pod, reason, verified=verified, settled=settled)
    counts = status_of(model(body, pod), verdicts=[seen])["sources"]
    assert (counts["publishing"], counts["idle"], counts["failing"]) == counted


def test_nothing_is_known_of_events_where_nothing_runs() -> None:
    body = configured()
    body["spec"]["replicas"] = 0
    assert condition(status_of(model(rolled_out(body))), "EventsFlowing") == (
        "Unknown",
        "NoSources",
    )


def test_a_pause_names_what_it_holds_back() -> None:
    status = status_of(model(rolled_out(deployment())), spec=spec_of(paused=True))
    assert condition(status, "ModelsConfigured") == ("False", "Paused")
    assert condition(status, "Reconciling") == ("False", "Idle")
    ready = next(c for c in status["conditions"] if c["type"] == "Ready")
    assert "To be changed and restarted: model; status.plan tells more." in ready["message"]


def test_the_wave_is_told() -> None:
    models = [model(rolled_out(deployment(name=name))) for name in "abc"]
    status = status_of(*models)
    assert (status["wave"]["current"], status["wave"]["next"]) == (["a"], ["b", "c"])
    assert condition(status, "Reconciling") == ("True", "Progressing")


def test_the_list_of_models_is_bounded_with_the_worst_first() -> None:
    many = [model(rolled_out(deployment(name=f"m{i:03}"))) for i in range(MAX_MODELS + 5)]
    status = status_of(*many, model(None, name="zz-gone"))
    assert len(status["models"]) == MAX_MODELS
    assert status["models"][0]["name"] == "zz-gone"
    assert status["modelsTotal"] == MAX_MODELS + 6
    assert len(status["wave"]["next"]) <= MAX_MODELS


def test_messages_are_bounded() -> None:
    status = status_of(model(None, name="x" * 5_000))
    messages = [c["message"] for c in status["conditions"]]
    assert max(map(len, messages)) == MAX_MESSAGE
    assert len(status["models"][0]["message"]) == MAX_MESSAGE


def test_a_verification_is_remembered_while_its_record_stands() -> None:
    before = synchronized()
    one, _ = working()
    failed = status_of(one, verdicts=[failing(one.pods[0])], sync=sync_of(status=before))
    assert failed["models"][0]["state"] == "Degraded"
    assert failed["models"][0]["verifiedRecord"] == 9_990
    changed = rolled_out(configured(at=9_999))
    again = status_of(model(changed, pod_of(changed)), sync=sync_of(status=before))
    assert "verifiedRecord" not in again["models"][0]


def test_an_invalid_spec_keeps_what_was_known() -> None:
    before = synchronized()
    status = invalid(sync_of(status=before), "spec.events.port is 0.", NOW)
    assert status["models"] == before["models"]
    assert condition(status, "Ready") == ("False", "InvalidSpec")
    assert condition(status, "Stalled") == ("True", "InvalidSpec")
    assert status["conditions"][0]["message"] == "spec.events.port is 0. Nothing is changed."


def test_a_refused_write_is_told_in_the_servers_words() -> None:
    before = synchronized()
    status = refused(sync_of(status=before), before, "denied by quota", NOW + 1)
    assert condition(status, "Ready") == ("False", "WriteRefused")
    assert condition(status, "Stalled") == ("True", "WriteRefused")
    assert "denied by quota" in status["conditions"][0]["message"]
    assert condition(status, "ModelsConfigured") == condition(before, "ModelsConfigured")


def test_times_are_read_back_as_they_are_written() -> None:
    assert seconds(timestamp(NOW)) == NOW
    assert timestamp(0) == "1970-01-01T00:00:00Z"
    assert seconds("") is None
    assert seconds("yesterday") is None
