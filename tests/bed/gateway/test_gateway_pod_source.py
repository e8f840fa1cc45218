"""Following pods through the ends that a watch can come to, with scripted answers."""

import contextlib
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from testbed.gateway.klog import Klog
from testbed.gateway.pod_source import ApiPods, Kind


def item(name: str, version: int) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "default", "name": name, "resourceVersion": str(version)},
        "spec": {"containers": []},
        "status": {},
    }


class Answer:
    """One scripted answer of the API server: a list, or a watch in chunks of bytes."""

    def __init__(self, *chunks: bytes, status: int = 200) -> None:
        self.status = status
        self.content = self
        self._chunks = chunks

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def raise_for_status(self) -> None:
        if self.status >= 400:
            raise OSError(f"status {self.status}")

    async def json(self) -> Any:
        return json.loads(b"".join(self._chunks))

    async def iter_any(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


def listing(version: int, *names: str) -> Answer:
    body = {"metadata": {"resourceVersion": str(version)}, "items": [item(n, 1) for n in names]}
    return Answer(json.dumps(body).encode())


def event(kind: str, name: str = "", version: int = 0) -> bytes:
    return json.dumps({"type": kind, "object": item(name, version)}).encode() + b"\n"


class Scripted(ApiPods):
    """ApiPods whose requests are answered from a script; the end of the script cancels."""

    asked: list[dict[str, str]]
    script: list[Answer]

    def _get(self, session: Any, parameters: dict[str, str]) -> Any:
        self.asked.append(parameters)
        if not self.script:
            raise StopScriptError
        return self.script.pop(0)


class StopScriptError(Exception):
    pass


@pytest.fixture
def source(tmp_path: Path) -> Scripted:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    (tmp_path / "token").write_text("secret")
    env = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    scripted = Scripted(Klog(io.StringIO()), env, tmp_path)
    scripted.asked = []
    return scripted


async def told(source: Scripted, *script: Answer) -> list[tuple[Kind, str]]:
    source.script = list(script)
    news: list[tuple[Kind, str]] = []
    with contextlib.suppress(StopScriptError):
        async for one in source.follow():
            # One by one: what was told before the script ended must not be lost.
            news.append((one.kind, one.pod.name if one.pod else ""))  # noqa: PERF401
    return news


CHANGED, DELETED, SYNCED = Kind.CHANGED, Kind.DELETED, (Kind.SYNCED, "")


async def test_a_watch_goes_on_from_the_last_version_seen(source: Scripted) -> None:
    first = Answer(event("ADDED", "b", 11) + event("BOOKMARK", version=20))
    second = Answer(event("DELETED", "a", 21))
    news = await told(source, listing(10, "a"), first, second)
    assert news == [(CHANGED, "a"), SYNCED, (CHANGED, "b"), (DELETED, "a")]
    versions = [parameters.get("resourceVersion") for parameters in source.asked]
    assert versions == [None, "10", "20", "21"]


async def test_events_may_be_cut_anywhere(source: Scripted) -> None:
    whole = event("ADDED", "a", 1) + event("MODIFIED", "a", 2)
    chunks = [whole[start : start + 7] for start in range(0, len(whole), 7)]
    news = await told(source, listing(1), Answer(*chunks))
    assert news == [SYNCED, (CHANGED, "a"), (CHANGED, "a")]


@pytest.mark.parametrize("gone", [Answer(status=410), Answer(event("ERROR"))])
async def test_a_version_too_old_lists_again_and_tells_the_difference(
    gone: Answer, source: Scripted
) -> None:
    news = await told(source, listing(10, "a", "b"), gone, listing(30, "b", "c"))
    assert news[2] == SYNCED
    assert news[3:] == [(DELETED, "a"), (CHANGED, "b"), (CHANGED, "c")]
    assert [parameters.get("resourceVersion") for parameters in source.asked] == [
        None,
        "10",
        None,
        "30",
    ]


async def test_a_refusal_is_tried_again(source: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.gateway.pod_source._RETRY_SECONDS", 0)
    news = await told(source, Answer(status=403), listing(1, "a"))
    assert news == [(CHANGED, "a"), SYNCED]
