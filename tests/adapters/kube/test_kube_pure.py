"""Paths, queries, pauses and the meaning of answers: what needs no server."""

from __future__ import annotations

import pytest

from kvsync.adapters.kube.answer import from_status, parse, refusal
from kvsync.adapters.kube.pace import Backoff, TokenBucket
from kvsync.adapters.kube.resource import CONFIGMAPS, DEPLOYMENTS, NAMESPACES, PODS
from kvsync.adapters.kube.transport import (
    Query,
    encode_query,
    environment_proxy,
    pause_before_repeat,
)
from kvsync.model import errors


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (DEPLOYMENTS.collection(), "/apis/apps/v1/deployments"),
        (DEPLOYMENTS.collection("a"), "/apis/apps/v1/namespaces/a/deployments"),
        (PODS.item("a", "b", "log"), "/api/v1/namespaces/a/pods/b/log"),
        (NAMESPACES.item(None, "a"), "/api/v1/namespaces/a"),
        (NAMESPACES.item("ignored", "a"), "/api/v1/namespaces/a"),
        (CONFIGMAPS.item("a", "../../x?y#z%2e"), "/api/v1/namespaces/a/configmaps/..%2F..%2Fx%3Fy%23z%252e"),
    ],
)  # fmt: skip
def test_paths(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 254])
def test_a_name_that_would_reach_something_else_is_refused(name: str) -> None:
    with pytest.raises(errors.Invalid, match="cannot be a name") as caught:
        CONFIGMAPS.item("a", name)
    assert not caught.value.patch_did_not_fit
    if name:
        with pytest.raises(errors.Invalid, match="cannot be a namespace"):
            CONFIGMAPS.collection(name)


def test_an_item_needs_its_namespace() -> None:
    with pytest.raises(errors.Invalid, match="of configmaps 'x'"):
        CONFIGMAPS.item(None, "x")


def test_query() -> None:
    query: Query = {
        "labelSelector": "a=b,c in (d)",
        "limit": 500,
        "watch": True,
        "no": None,
        "empty": "",
    }
    assert encode_query(query) == "?labelSelector=a%3Db%2Cc+in+%28d%29&limit=500&watch=true"
    assert encode_query({}) == ""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, errors.ApiError),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (410, errors.Gone),
        (422, errors.Invalid),
        (429, errors.TooManyRequests),
        (500, errors.ServerError),
        (503, errors.ServerError),
        (504, errors.Timeout),
    ],
)
def test_each_status_has_its_error(code: int, kind: type[errors.ApiError]) -> None:
    error = refusal(code, {}, b'{"message": "said so", "reason": "Because"}', "GET x")
    assert type(error) is kind
    assert (error.status, error.reason) == (code, "Because")
    assert str(error) == f"said so (GET x: {code} Because)"


def test_validation_names_fields_and_a_patch_that_did_not_fit_names_none() -> None:
    cause = {"reason": "FieldValueInvalid", "message": "bad", "field": "spec.x"}
    refused = from_status({"code": 422, "reason": "Invalid", "details": {"causes": [cause]}}, "")
    assert isinstance(refused, errors.Invalid)
    assert refused.causes == (errors.Cause("FieldValueInvalid", "bad", "spec.x"),)
    assert not refused.patch_did_not_fit
    misfit = from_status({"code": 422, "reason": "Invalid", "details": {}}, "")
    assert isinstance(misfit, errors.Invalid)
    assert misfit.patch_did_not_fit


def test_a_kind_that_is_not_served_says_so() -> None:
    assert "is its CRD installed" in str(refusal(404, {}, b"404 page not found\n", "GET x"))


@pytest.mark.parametrize(
    ("said", "seconds"), [("7", 7.0), ("0", 1.0), ("nan", 1.0), ("-3", 1.0), ("Wed, 21 Oct", 1.0)]
)
def test_retry_after(said: str, seconds: float) -> None:
    error = refusal(429, {"Retry-After": said}, b"{}", "")
    assert isinstance(error, errors.TooManyRequests)
    assert error.retry_after == seconds


@pytest.mark.parametrize("hostile", [b"<html>", b"[]", b"", b"\xff", b'"x"'])
def test_what_is_no_object_is_no_answer(hostile: bytes) -> None:
    with pytest.raises(errors.ServerError, match="proxy"):
        parse(hostile, "GET x")


@pytest.mark.parametrize("odd", [{"code": "404"}, {"message": 5, "details": []}, {}])
def test_a_strange_status_is_still_an_error(odd: dict[str, object]) -> None:
    assert type(from_status(odd, "")) is errors.ApiError


def test_backoff_doubles_to_its_ceiling_with_jitter_below() -> None:
    full = Backoff(1, 5, lambda: 1.0)
    assert [full.pause() for _ in range(5)] == [1, 2, 4, 5, 5]
    full.reset()
    assert full.pause() == 1
    assert Backoff(1, 5, lambda: 0.0).pause() == 0.5


def test_token_bucket_refills_with_time_and_not_beyond_its_burst() -> None:
    now = 0.0
    bucket = TokenBucket(0.5, 2, lambda: now)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    now = 2.0
    assert [bucket.take() for _ in range(2)] == [True, False]
    now = 1.0  # a clock that goes back earns nothing
    assert not bucket.take()
    now = 1000.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]


def test_only_reads_and_429_are_repeated() -> None:
    def pause(error: errors.ApiError, method: str) -> float | None:
        return pause_before_repeat(error, method, Backoff(0.2, 5, lambda: 1.0))

    busy, patient = errors.TooManyRequests("busy"), errors.TooManyRequests("busy")
    busy.retry_after, patient.retry_after = 3.0, 900.0
    assert pause(errors.ConnectionLost("gone"), "GET") == 0.2
    assert pause(errors.ConnectionLost("gone"), "PATCH") is None
    assert pause(busy, "PATCH") == 3.0
    assert pause(patient, "GET") is None


def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.1,.svc")
    assert environment_proxy("https://api.example.com:6443") == "http://proxy:3128"
    assert environment_proxy("https://10.0.0.1:6443") is None
    assert environment_proxy("https://kubernetes.default.svc") is None
