"""GatewayConfigured is what the logs of all pods of the gateway say, and what they do not say is unknown."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.gateways import PREFIX, THEIRS, told
from core.objects import TEMPLATES, Json, spec_of
from core.scenes import (
    MARK,
    after_action,
    condition,
    decided,
    gateway_of,
    gateway_turned_on,
    observe,
    rolled_out,
    sync_of,
    working,
)
from kvsync.core.decide import decide, view_models
from kvsync.core.gateway import OWNERS_ANNOTATION
from kvsync.core.gateway_taken import gateway_watch
from kvsync.model.gateway_log import GatewayReading, GatewayWatch, Start, Subscription, Unread

POD = "default/model-0"
TAKEN = {POD: Subscription.TAKEN}
WELL = GatewayReading(start=Start.INITIALIZED, pods=TAKEN)
TYPE = (
    "Failed to initialize KV event sync: invalid KV event sync configuration: KV event sync requires "
    'AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE=remote (got "character")'
)
ENDPOINT = TYPE.partition("AIBRIX")[0] + f"{PREFIX}REMOTE_TOKENIZER_ENDPOINT to be set"
TOKENIZER = (
    "KV event sync requires remote tokenizer. Remote tokenizer will be automatically enabled."
)
LATE = "Failed to initialize KV event sync: failed to start: context deadline exceeded"


def failed(words: str) -> GatewayReading:
    return GatewayReading(start=Start.FAILED, words=words)


def status_of(
    *logs: GatewayReading, gateway: Json | None = None, status: Json | None = None, **picture: Any
) -> Json:
    """The status of an object whose model works and whose gateway was told, as its logs have it."""
    one, verdict = working()
    gateway = gateway or gateway_turned_on()
    gateway["spec"]["replicas"] = len(logs)
    found = decided(
        one,
        verdicts=[verdict],
        gateway=rolled_out(gateway),
        logs=logs,
        sync=sync_of(status=status),
        **picture,
    ).status
    assert found is not None
    return dict(found)


def message(status: Json, kind: str = "GatewayConfigured") -> str:
    return str(next(c["message"] for c in status["conditions"] if c["type"] == kind))


def heads(status: Json) -> tuple[Any, Any, Any]:
    kinds = ("GatewayConfigured", "Ready", "Stalled")
    return tuple(condition(status, kind) for kind in kinds)  # type: ignore[return-value]


def test_it_is_configured_where_every_pod_initialised() -> None:
    status = status_of(WELL, WELL)
    assert heads(status) == (("True", "Configured"), ("True", "Synchronized"), ("False", "Idle"))
    assert message(status).endswith("reads KV events; it took 1 of 1 sources.")
    assert status["gateway"]["sources"] == {"total": 1, "taken": 1}
    assert status["summary"]["taken"] == "1/1"


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (None, "the gateway does not subscribe to it"),
        (Subscription.CONNECTED, "no answer to a request for a replay"),
        (Subscription.UNANSWERED, "did not answer the gateway's request"),
        (Subscription.FAILING, "cannot use what it sends"),
    ],
)
def test_a_source_counts_as_taken_where_every_pod_of_the_gateway_took_it(
    last: Subscription | None, words: str
) -> None:
    other = GatewayReading(start=Start.INITIALIZED, pods={POD: last} if last else {})
    status = status_of(WELL, other)
    assert heads(status)[0] == ("True", "Configured"), (
        "whether it can is GatewayCompatible's matter"
    )
    assert status["gateway"]["sources"] == {"total": 1, "taken": 0}
    assert f"0 of 1 sources. Not taken: {POD}: " in message(status)
    assert words in message(status)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (TYPE, f"Set {PREFIX}TOKENIZER_TYPE to exactly remote"),
        (ENDPOINT, f"Set {PREFIX}REMOTE_TOKENIZER_ENDPOINT to the URL of a Service"),
        (TOKENIZER, f"Set {PREFIX}USE_REMOTE_TOKENIZER to true"),
        ("KV event sync is disabled", f"Set {PREFIX}KV_EVENT_SYNC_ENABLED to true"),
        (LATE, "kubectl -n aibrix-system rollout restart deployment aibrix-gateway-plugins"),
        ("Failed to initialize KV event sync: a new reason", "kubectl -n aibrix-system logs"),
    ],
)
def test_why_it_failed_is_told_in_its_own_words_with_what_to_do(words: str, remedy: str) -> None:
    status = status_of(WELL, failed(words))
    reason = "GatewayNotInitialized"
    assert heads(status) == (("False", reason), ("False", reason), ("True", reason))
    assert words in message(status)
    assert remedy in message(status)
    assert status["gateway"]["initialized"] == ["aibrix-gateway-plugins-0/0"]


def test_an_old_gateway_is_told_its_own_names() -> None:
    old = failed("Failed to initialize KV event sync: AIBRIX_REMOTE_TOKENIZER_ENDPOINT to be set")
    status = status_of(old, gateway=told("v0.4.1"), spec=spec_of(**THEIRS))
    assert "Set AIBRIX_REMOTE_TOKENIZER_ENDPOINT to the URL" in message(status)


SILENT = GatewayReading(silent=True)


@pytest.mark.parametrize(
    ("gateway", "words"),
    [
        (told(KV_EVENT_SYNC_ENABLED="false"), "KV_EVENT_SYNC_ENABLED is 'false' and must be true"),
        (told(KV_EVENT_SYNC_ENABLED=None), "KV_EVENT_SYNC_ENABLED is not set and must be true"),
        (told(KV_EVENT_SYNC_ENABLED="yes"), "KV_EVENT_SYNC_ENABLED is 'yes' and must be true"),
        (
            gateway_of(env=[{"name": "AIBRIX_KV_EVENT_SYNC_ENABLED", "value": "true"}]),
            "The names without PREFIX_CACHE are read by AIBrix 0.4 alone.",
        ),
        (
            told("v0.7.0", {"name": f"{PREFIX}KV_EVENT_SYNC_ENABLED", "valueFrom": {}}),
            "from a reference",
        ),
        (told(), "see whether the image is AIBrix's gateway"),
    ],
)
def test_silence_of_a_release_that_is_known_says_that_it_is_off(gateway: Json, words: str) -> None:
    status = status_of(SILENT, gateway=gateway, spec=spec_of(**THEIRS))
    assert heads(status)[0] == ("False", "GatewayNotInitialized")
    assert words in message(status)


def test_names_that_were_chosen_by_hand_and_are_not_read_are_told_as_that() -> None:
    spec = spec_of(gateway={"environment": "V0_4"})
    one, verdict = working()
    gateway = gateway_of()
    first = decided(one, verdicts=[verdict], gateway=gateway, spec=spec)
    status = status_of(SILENT, gateway=after_action(first, gateway), spec=spec)
    assert heads(status)[0] == ("False", "GatewayNotInitialized")
    assert "set it to Auto" in message(status)


@pytest.mark.parametrize("image", ["nightly", "v0.5.0", "v0.8.0"])
def test_silence_of_another_release_says_nothing(image: str) -> None:
    gateway = told(image, KV_EVENT_SYNC_ENABLED="false")
    status = status_of(SILENT, gateway=gateway, spec=spec_of(**THEIRS))
    assert heads(status)[0] == ("Unknown", "GatewayUnconfirmed")
    assert "is not known" in message(status)


@pytest.mark.parametrize("image", ["nightly", "v0.5.0", "v9.0.0"])
@pytest.mark.parametrize(
    ("log", "reason"), [(WELL, "NotManaged"), (failed(TYPE), "GatewayNotInitialized")]
)
def test_lines_that_are_known_are_believed_of_any_release(
    image: str, log: GatewayReading, reason: str
) -> None:
    status = status_of(log, gateway=told(image), spec=spec_of(**THEIRS))
    assert heads(status)[0][1] == reason


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (GatewayReading(unread=Unread.FORBIDDEN), "grant its ServiceAccount get on pods/log"),
        (GatewayReading(unread=Unread.UNREADABLE), "Try kubectl -n aibrix-system logs"),
        (GatewayReading(whole=False), "it was rotated"),
        (GatewayReading(), "has not said yet"),
        (GatewayReading(start=Start.BEGUN), "has not said yet"),
    ],
)
def test_what_cannot_be_read_is_unknown_and_so_is_ready(log: GatewayReading, words: str) -> None:
    status = status_of(WELL, log)
    open_ = ("Unknown", "GatewayUnconfirmed")
    assert heads(status) == (open_, open_, ("False", "Idle"))
    assert words in message(status)
    assert words in message(status, "Ready")


def test_a_start_that_was_seen_to_go_well_is_remembered_for_that_start_alone() -> None:
    before = status_of(WELL)
    for log in (GatewayReading(whole=False), GatewayReading(unread=Unread.FORBIDDEN)):
        assert heads(status_of(log, status=before))[0] == ("True", "Configured")
    again = GatewayReading(restarts=1)
    assert heads(status_of(again, status=before))[0] == ("Unknown", "GatewayUnconfirmed")
    assert heads(status_of(failed(LATE), status=before))[0] == ("False", "GatewayNotInitialized")
    elsewhere = {**before, "gateway": {**before["gateway"], "deployment": "other/gateway"}}
    unread = GatewayReading(whole=False)
    assert heads(status_of(unread, status=elsewhere))[0][0] == "Unknown"


def test_a_restart_of_the_operator_changes_nothing_of_the_status() -> None:
    before = status_of(WELL)
    one, verdict = working()
    gateway = rolled_out(gateway_turned_on())
    picture = observe(one, verdicts=[verdict], gateway=gateway, sync=sync_of(status=before))
    (uid,) = picture.gateway.readings
    so_far: tuple[dict[str, GatewayReading], ...] = (
        {},
        {uid: GatewayReading(caught_up=False)},
        {uid: GatewayReading(start=Start.BEGUN, caught_up=False)},
        {uid: GatewayReading(start=Start.INITIALIZED, caught_up=False)},
    )
    for readings in so_far:
        seen = replace(picture.gateway, readings=readings)
        assert decide(replace(picture, gateway=seen), TEMPLATES).status == before


def test_what_an_earlier_start_said_is_no_news() -> None:
    one, verdict = working()
    gateway = rolled_out(gateway_turned_on())
    picture = observe(one, verdicts=[verdict], gateway=gateway, logs=[GatewayReading(restarts=1)])
    (uid,) = picture.gateway.readings
    stale = replace(picture.gateway, readings={uid: WELL})
    found = decide(replace(picture, gateway=stale), TEMPLATES).status
    assert condition(found, "GatewayConfigured") == ("Unknown", "GatewayUnconfirmed")


READINGS = st.builds(
    GatewayReading,
    start=st.sampled_from(Start),
    words=st.just("why"),
    whole=st.booleans(),
    pods=st.dictionaries(st.just(POD), st.sampled_from(Subscription)),
    unread=st.none() | st.sampled_from(Unread),
) | st.just(SILENT)


@given(st.lists(READINGS, min_size=1, max_size=4))
def test_only_what_every_pod_said_itself_is_believed(logs: list[GatewayReading]) -> None:
    status = status_of(*logs)
    said = condition(status, "GatewayConfigured")[0]
    assert (said == "True") == all(log.start is Start.INITIALIZED for log in logs)
    told = any(log.start is Start.FAILED or log.silent for log in logs)
    assert (said == "False") == told
    assert condition(status, "Ready")[0] == said
    counts = status["gateway"].get("sources")
    if counts and counts["taken"]:
        assert all(log.pods[POD] is Subscription.TAKEN for log in logs)


def test_sources_are_not_counted_where_lines_are_missing() -> None:
    gap = GatewayReading(start=Start.INITIALIZED, whole=False)
    status = status_of(gap)
    assert "sources" not in status["gateway"]
    assert "taken" not in status["summary"]
    known = GatewayReading(start=Start.INITIALIZED, whole=False, pods=TAKEN)
    assert status_of(known)["gateway"]["sources"] == {"total": 1, "taken": 1}


@pytest.mark.parametrize(
    ("replicas", "available", "words"),
    [(2, 1, "The gateway restarts: 1 of 2 pods"), (0, 0, "scaled to no pod")],
)
def test_a_gateway_of_others_that_is_not_all_there_is_unknown(
    replicas: int, available: int, words: str
) -> None:
    one, verdict = working()
    gateway = told()
    gateway["spec"]["replicas"] = replicas
    gateway = rolled_out(gateway, available=available)
    found = decided(one, verdicts=[verdict], gateway=gateway, spec=spec_of(**THEIRS)).status
    assert condition(found, "GatewayConfigured") == ("Unknown", "GatewayUnconfirmed")
    assert words in message(dict(found or {}))


def test_a_gateway_of_others_is_read_in_the_container_that_is_named() -> None:
    spec = spec_of(gateway={"manage": False, "container": "other"})
    status = status_of(WELL, gateway=told(), spec=spec)
    assert heads(status)[0] == ("Unknown", "GatewayUnconfirmed")
    assert "Set spec.gateway.container to one of: gateway-plugin." in message(status)


def test_a_gateway_of_others_that_consumes_is_said_to() -> None:
    status = status_of(WELL, gateway=told(), spec=spec_of(**THEIRS))
    assert heads(status)[:2] == (("True", "NotManaged"), ("True", "Synchronized"))
    assert "yours to set. Deployment aibrix-system/" in message(status)


@pytest.mark.parametrize(
    ("gateway", "spec", "permitted", "read"),
    [
        (gateway_of(), {}, True, False),
        (gateway_turned_on(), {}, True, True),
        (told(), THEIRS, True, True),
        (told(), THEIRS, False, False),
        (None, THEIRS, True, False),
    ],
    ids=["not told yet", "told", "of others", "not permitted", "absent"],
)
def test_a_log_is_read_only_where_it_has_something_to_tell_and_the_operator_may(
    gateway: Json | None, spec: Json, permitted: bool, read: bool
) -> None:
    one, verdict = working()
    observed = observe(
        one, verdicts=[verdict], gateway=gateway, spec=spec_of(**spec), permitted=permitted
    )
    found = gateway_watch(observed, view_models(observed, TEMPLATES))
    names = ("aibrix-system", "aibrix-gateway-plugins", "gateway-plugin")
    assert found == (GatewayWatch(*names, frozenset({POD})) if read else None)


def test_an_object_that_goes_has_no_log_read() -> None:
    deleted = sync_of(deleted="2026-11-26T10:00:00Z")
    gateway = rolled_out(gateway_turned_on())
    assert gateway["metadata"]["annotations"][OWNERS_ANNOTATION] == MARK
    assert decided(gateway=gateway, sync=deleted).gateway is None
