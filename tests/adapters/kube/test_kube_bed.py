"""The API door on a real API server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.kube.broken_line import BrokenLine
from adapters.kube.conftest import running, until
from bed.conftest import bed  # noqa: F401 - the fixture itself
from kvsync.adapters.kube.client import PAGE, Kube
from kvsync.adapters.kube.events import EventRecorder, ObjectReference
from kvsync.adapters.kube.resource import (
    CONFIGMAPS,
    CRDS,
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    PODS,
    Resource,
)
from kvsync.adapters.kube.transport import Query
from kvsync.adapters.kube.watch import Trouble, Watch
from kvsync.model.errors import ApiError, Conflict, Forbidden, Invalid, NotFound
from kvsync.model.record import FIELD_MANAGER
from testbed.bed import Bed

pytestmark = pytest.mark.bed

_numbers = itertools.count(1)


@pytest.fixture
def namespace(bed: Bed) -> Iterator[str]:  # noqa: F811 - pytest's way
    name = f"kube-{next(_numbers)}"
    bed.create_namespace(name)
    yield name
    bed.api.delete("namespace", name)


@pytest.fixture
async def kube(bed: Bed) -> AsyncIterator[Kube]:  # noqa: F811
    async with await Kube.connect(str(bed.kubeconfig)) as connected:
        yield connected


def config(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"app": "x"}}, "data": data}


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "c", "image": "nothing:1", "args": ["--one"]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


async def create_many(kube: Kube, namespace: str, count: int) -> None:
    async with asyncio.TaskGroup() as group:
        limit = asyncio.Semaphore(16)

        async def create(number: int) -> None:
            async with limit:
                await kube.create(CONFIGMAPS, namespace, config(f"c-{number:03}"))

        for number in range(count):
            group.create_task(create(number))


async def test_a_list_of_several_pages_and_a_watch_of_them(kube: Kube, namespace: str) -> None:
    await create_many(kube, namespace, 520)
    found = await kube.list(CONFIGMAPS, namespace, label_selector="app=x")
    assert [each["metadata"]["name"] for each in found] == [f"c-{n:03}" for n in range(520)]
    pages = [page async for page in kube.pages(CONFIGMAPS, namespace, {"labelSelector": "app=x"})]
    assert [len(page["items"]) for page in pages] == [500, 20]
    one = await kube.list(CONFIGMAPS, namespace, field_selector="metadata.name=c-007")
    assert len(one) == 1
    async with following(kube, namespaces=[namespace], label_selector="app=x") as seen:
        assert len(seen.watch.store) == 520


async def test_patches(kube: Kube, namespace: str) -> None:
    await kube.create(DEPLOYMENTS, namespace, deployment("m"))
    path = "/spec/template/spec/containers/0/args"
    ops: list[dict[str, Any]] = [
        {"op": "test", "path": path, "value": ["--one"]},
        {"op": "add", "path": f"{path}/-", "value": "--two"},
    ]
    tried = await kube.json_patch(DEPLOYMENTS, namespace, "m", ops, dry_run=True)
    done = await kube.json_patch(DEPLOYMENTS, namespace, "m", ops)
    for answer in (tried, done):
        assert answer["spec"]["template"]["spec"]["containers"][0]["args"] == ["--one", "--two"]
    with pytest.raises(Invalid) as caught:
        await kube.json_patch(DEPLOYMENTS, namespace, "m", ops)
    assert caught.value.patch_did_not_fit
    with pytest.raises(Invalid) as caught:
        await kube.merge_patch(DEPLOYMENTS, namespace, "m", {"spec": {"replicas": -1}})
    assert not caught.value.patch_did_not_fit
    assert caught.value.causes[0].field == "spec.replicas"
    body = await kube.get(DEPLOYMENTS, namespace, "m")
    ours = [e for e in body["metadata"]["managedFields"] if e.get("subresource") != "status"]
    assert {entry["manager"] for entry in ours} == {FIELD_MANAGER}


async def test_a_test_of_any_text_holds_that_the_server_itself_returned(
    kube: Kube, namespace: str
) -> None:
    odd = "vllm serve 'größer' 2>&1 <\u2028\u2029\"\\\t\n\x01\x7f🙂"
    body = deployment("m")
    body["spec"]["template"]["spec"]["containers"][0]["args"] = [odd]
    body["metadata"]["annotations"] = {"odd": odd}
    await kube.create(DEPLOYMENTS, namespace, body)
    path = "/spec/template/spec/containers/0/args"
    ops: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/annotations/odd", "value": odd},
        {"op": "test", "path": path, "value": [odd]},
        {"op": "replace", "path": f"{path}/0", "value": odd + "&"},
        {"op": "test", "path": f"{path}/0", "value": odd + "&"},
    ]
    done = await kube.json_patch(DEPLOYMENTS, namespace, "m", ops)
    assert done["spec"]["template"]["spec"]["containers"][0]["args"] == [odd + "&"]


async def test_the_status_is_written_apart(kube: Kube, namespace: str) -> None:
    container = {"name": "c", "image": "nothing:1"}
    spec = {"containers": [container], "schedulerName": "nobody"}
    await kube.create(PODS, namespace, {"metadata": {"name": "p"}, "spec": spec})
    both = {"status": {"reason": "Seen"}, "spec": {"activeDeadlineSeconds": 5}}
    await kube.merge_patch(PODS, namespace, "p", both, "status")
    body = await kube.get(PODS, namespace, "p")
    assert body["status"]["reason"] == "Seen"
    assert "activeDeadlineSeconds" not in body["spec"]


async def test_apply_and_its_conflicts(kube: Kube, namespace: str) -> None:
    await kube.create(CONFIGMAPS, namespace, config("a", x="1"))
    body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "2"}}
    with pytest.raises(Conflict) as caught:
        await kube.apply(CONFIGMAPS, namespace, "a", body)
    assert caught.value.causes[0].field == ".data.x"
    applied = await kube.apply(CONFIGMAPS, namespace, "a", body, force=True)
    assert applied["data"] == {"x": "2"}


async def test_refusals(kube: Kube, namespace: str, bed: Bed) -> None:  # noqa: F811
    made = await kube.create(CONFIGMAPS, namespace, config("a", x="1"))
    with pytest.raises(NotFound, match='configmaps "b" not found'):
        await kube.get(CONFIGMAPS, namespace, "b")
    with pytest.raises(NotFound):
        await kube.list(Resource("kvsync.aibrix.ai", "v0", "nothings"))
    with pytest.raises(Conflict) as caught:
        await kube.create(CONFIGMAPS, namespace, config("a"))
    assert caught.value.reason == "AlreadyExists"
    stale = {"metadata": {"resourceVersion": "1"}, "data": {"x": "2"}}
    with pytest.raises(Conflict):
        await kube.merge_patch(CONFIGMAPS, namespace, "a", stale)
    with pytest.raises(Conflict):
        await kube.delete(CONFIGMAPS, namespace, "a", uid="another")
    await kube.delete(CONFIGMAPS, namespace, "a", uid=made["metadata"]["uid"])
    weak = bed.kubeconfig_for_service_account(namespace, "default")
    async with await Kube.connect(str(weak)) as stranger:
        with pytest.raises(Forbidden, match='cannot get resource "configmaps"'):
            await stranger.get(CONFIGMAPS, namespace, "a")


class Seen:
    """A running watch of ConfigMaps and what it told."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []
        self.troubles: list[Trouble] = []
        self.watch: Watch[dict[str, str]]

    def take(self, key: tuple[str, str], old: Any, new: Any) -> None:
        what = "added" if old is None else "deleted" if new is None else "changed"
        self.changes.append((key[1], what))

    @property
    def names(self) -> set[str]:
        return {name for _, name in self.watch.store if name != "kube-root-ca.crt"}


@asynccontextmanager
async def following(
    kube: Kube, resource: Resource = CONFIGMAPS, **options: Any
) -> AsyncIterator[Seen]:
    seen = Seen()
    seen.watch = Watch(
        kube,
        resource,
        project=lambda item: item.get("data", {}),
        on_change=seen.take,
        on_trouble=seen.troubles.append,
        **options,
    )
    async with running(seen.watch.run()):
        await asyncio.wait_for(seen.watch.synced.wait(), 20)
        yield seen


async def test_a_watch_follows_adds_changes_and_deletes(kube: Kube, namespace: str) -> None:
    await kube.create(CONFIGMAPS, namespace, config("a", x="1"))
    async with following(kube, namespaces=[namespace], label_selector="app=x") as seen:
        await kube.create(CONFIGMAPS, namespace, config("b"))
        await kube.merge_patch(CONFIGMAPS, namespace, "a", {"data": {"x": "2"}})
        label = {"metadata": {"annotations": {"only": "metadata"}}}
        await kube.merge_patch(CONFIGMAPS, namespace, "a", label)
        await kube.delete(CONFIGMAPS, namespace, "a")
        # An object that stops matching the selector is gone for us.
        await kube.merge_patch(CONFIGMAPS, namespace, "b", {"metadata": {"labels": None}})
        expected = [
            ("a", "added"),
            ("b", "added"),
            ("a", "changed"),
            ("a", "deleted"),
            ("b", "deleted"),
        ]
        await until(lambda: len(seen.changes) >= len(expected))
        assert seen.changes == expected
        assert not seen.troubles


async def test_a_cut_line_loses_nothing(
    bed: Bed,  # noqa: F811
    kube: Kube,
    namespace: str,
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        await kube.create(CONFIGMAPS, namespace, config(name))
    async with (
        BrokenLine(bed.kubeconfig) as line,
        await Kube.connect(line.kubeconfig(tmp_path / "config")) as through,
        following(through, namespaces=[namespace]) as seen,
    ):
        line.cut()
        await kube.create(CONFIGMAPS, namespace, config("c"))
        await until(lambda: "c" in seen.names)
        assert not seen.troubles
        line.down = True
        line.cut()
        await until(lambda: seen.watch.troubles)
        assert seen.watch.healthy_since is None
        await kube.delete(CONFIGMAPS, namespace, "a")
        line.down = False
        await until(lambda: seen.names == {"b", "c"})
        assert seen.watch.healthy_since is not None


MARKS = Resource("tests.kvsync.aibrix.ai", "v1", "marks")


@pytest.fixture
async def marks(kube: Kube, namespace: str) -> AsyncIterator[Callable[[str], Awaitable[object]]]:
    """A kind of the test's own, and a call that makes an object of it.

    The API server remembers nothing of a kind from before it came: versions of then are too old.
    """
    names = {"plural": MARKS.plural, "singular": "mark", "kind": "Mark"}
    anything = {"openAPIV3Schema": {"type": "object"}}
    version = {"name": MARKS.version, "served": True, "storage": True, "schema": anything}
    spec = {"group": MARKS.group, "scope": "Namespaced", "names": names, "versions": [version]}
    await kube.create(CRDS, None, {"metadata": {"name": str(MARKS)}, "spec": spec})

    async def mark(name: str) -> object:
        said = {"apiVersion": MARKS.api_version, "kind": "Mark", "metadata": {"name": name}}
        return await kube.create(MARKS, namespace, said)

    async with asyncio.timeout(20):
        while not await served(kube):  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.05)
    yield mark
    await kube.delete(CRDS, None, str(MARKS))


async def served(kube: Kube) -> bool:
    try:
        await kube.list(MARKS)
    except NotFound:
        return False
    return True


async def test_deletions_behind_a_forgotten_version_are_found(
    bed: Bed,  # noqa: F811
    kube: Kube,
    namespace: str,
    marks: Callable[[str], Awaitable[object]],
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        await marks(name)
    async with (
        BrokenLine(bed.kubeconfig) as line,
        await Kube.connect(line.kubeconfig(tmp_path / "config")) as through,
        following(through, MARKS) as seen,
    ):
        line.down = True
        line.cut()
        await until(lambda: seen.watch.troubles)
        await kube.delete(MARKS, namespace, "a")
        seen.watch._follows[0].version = "1"
        lists = count_lists(through)
        line.down = False
        await until(lambda: seen.names == {"b"})
        assert seen.changes == [("a", "added"), ("b", "added"), ("a", "deleted")]
        assert lists == [MARKS.plural]


def count_lists(kube: Kube) -> list[str]:
    """What is listed from now on: it grows."""
    lists: list[str] = []
    pages = kube.pages

    def counted(
        resource: Resource, namespace: str | None, query: Query, limit: int = PAGE
    ) -> AsyncIterator[dict[str, Any]]:
        lists.append(resource.plural)
        return pages(resource, namespace, query, limit)

    kube.pages = counted  # type: ignore[method-assign]
    return lists


async def test_a_watch_without_permission_says_which(
    bed: Bed,  # noqa: F811
    kube: Kube,
    namespace: str,
) -> None:
    weak = bed.kubeconfig_for_service_account(namespace, "default")
    troubles: list[Trouble] = []
    async with await Kube.connect(str(weak)) as stranger:
        watch = Watch(
            stranger,
            PODS,
            project=lambda item: item["metadata"]["uid"],
            on_change=lambda *_: None,
            on_trouble=troubles.append,
        )
        task = asyncio.create_task(watch.run())
        await until(lambda: troubles)
        task.cancel()
        await asyncio.wait([task])
    assert f'"system:serviceaccount:{namespace}:default" cannot list' in troubles[0].message
    assert "on pods of the core API group with a ClusterRole" in troubles[0].message
    assert not watch.synced.is_set()


async def test_events_are_accepted_and_counted(kube: Kube, namespace: str) -> None:
    made = await kube.create(DEPLOYMENTS, namespace, deployment("m"))
    about = ObjectReference("apps/v1", "Deployment", namespace, "m", made["metadata"]["uid"])
    async with EventRecorder(kube, "here") as recorder:
        recorder.record(about, "Warning", "Odd", "Check", "é" * 2000)
        recorder.record(about, "Normal", "Enabled", "Patch", "done")
        await until(lambda: not recorder._queue.qsize())
        for _ in range(3):
            recorder.record(about, "Normal", "Enabled", "Patch", "done")
    assert recorder.dropped == 0
    found = {each["reason"]: each for each in await kube.list(EVENTS, namespace)}
    assert len(found["Odd"]["note"].encode()) <= 1024
    assert "series" not in found["Odd"]
    assert found["Enabled"]["series"]["count"] == 4
    assert found["Enabled"]["regarding"]["name"] == "m"


async def test_events_of_a_namespace_that_is_gone_are_dropped_quietly(kube: Kube) -> None:
    about = ObjectReference("apps/v1", "Deployment", "no-such-namespace", "m", "u")
    async with EventRecorder(kube) as recorder:
        recorder.record(about, "Normal", "Enabled", "Patch", "done")
    assert recorder.dropped == 1


async def test_the_server_says_its_version_and_knows_the_namespace(kube: Kube) -> None:
    assert (await kube.get_path("/version"))["major"] == "1"
    assert (await kube.get(NAMESPACES, None, kube.namespace))["metadata"]["name"] == "default"
    with pytest.raises(ApiError):
        await kube.pod_log("default", "no-such-pod", "c")
