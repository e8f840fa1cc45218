"""`kvsync disable --all`: all objects deleted, and what is said until they are gone, or why they are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from kvsync.adapters.kube.resource import KVEVENTSYNCS, Resource
from kvsync.cli.disable import disable
from kvsync.cli.disable_all import undo_all
from kvsync.model.errors import Conflict, NotFound, Unavailable
from kvsync.model.selector_text import parse_selector

Body = dict[str, Any]


def sync(namespace: str, name: str, *, uid: str = "", message: str = "", **spec: Any) -> Body:
    conditions = [{"type": "Ready", "reason": "Undoing", "message": message}] if message else []
    metadata = {"namespace": namespace, "name": name, "uid": uid or f"{namespace}/{name}"}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": conditions}}


class Cluster:
    """Objects that go ``looks`` looks after their deletion; time passes as somebody waits."""

    def __init__(self, *bodies: Body, looks: int = 1) -> None:
        self.bodies = list(bodies)
        self.deleted: list[tuple[str | None, str, str | None]] = []
        self.asked: list[str | None] = []
        self.now = 0.0
        self.on_pause: Callable[[], None] = lambda: None
        self._looks = looks

    async def list(self, resource: Resource, namespace: str | None = None) -> list[Body]:
        assert resource is KVEVENTSYNCS
        self.asked.append(namespace)
        return [b for b in self.bodies if namespace in (None, b["metadata"]["namespace"])]

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
    ) -> Body:
        assert resource is KVEVENTSYNCS
        self.deleted.append((namespace, name, uid))
        return {}

    def clock(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.now += seconds
        self._looks -= 1
        if not self._looks:
            gone = {uid for _, _, uid in self.deleted}
            self.bodies = [b for b in self.bodies if b["metadata"]["uid"] not in gone]
        self.on_pause()

    async def undone(self, *namespaces: str, timeout: float = 60) -> bool:
        return await undo_all(self, namespaces, timeout, self.clock, self.pause)


async def test_every_object_is_deleted_and_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster(sync("a", "x", message="1 of 2 models"), sync("b", "y"), looks=3)
    assert await cluster.undone()
    assert cluster.deleted == [("a", "x", "a/x"), ("b", "y", "b/y")]
    said = capsys.readouterr().out.splitlines()
    assert said[2:] == ["   0.0s  0 of 2 undone; a/x: Undoing: 1 of 2 models", "All is undone."]


async def test_only_the_namespaces_that_were_named_are_looked_at() -> None:
    cluster = Cluster(sync("a", "x"), sync("b", "y"))
    assert await cluster.undone("b")
    assert cluster.deleted == [("b", "y", "b/y")]
    assert set(cluster.asked) == {"b"}
    assert [b["metadata"]["name"] for b in cluster.bodies] == ["x"]


async def test_only_the_objects_that_a_selector_means_are_undone() -> None:
    mine, other = sync("a", "x"), sync("a", "y")
    mine["metadata"]["labels"] = {"shard": "a"}
    cluster = Cluster(mine, other)
    selector = parse_selector("shard=a")
    assert await undo_all(cluster, (), 60, cluster.clock, cluster.pause, selector=selector)
    assert cluster.deleted == [("a", "x", "a/x")]
    assert cluster.bodies == [other]


def test_a_selector_without_all_is_refused() -> None:
    done = CliRunner().invoke(disable, ["team", "m", "--object-selector", "shard=a"])
    assert done.exit_code == 2
    assert "--object-selector goes with --all" in done.output


async def test_nothing_to_undo_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert await Cluster().undone()
    assert capsys.readouterr().out == "There is no KVEventSync: nothing to undo.\n"


async def test_a_cluster_without_the_kind_has_nothing_to_undo() -> None:
    class Bare(Cluster):
        async def list(self, resource: Resource, namespace: str | None = None) -> list[Body]:
            raise NotFound("the server could not find the requested resource", status=404)

    assert await Bare().undone()


async def test_what_stays_by_the_objects_own_word_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await Cluster(sync("a", "x", deletionPolicy="Retain")).undone()
    assert "a/x is being deleted; what it configured stays" in capsys.readouterr().out


async def test_what_hangs_is_named_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    bodies = [sync("a", f"x{n:02}", message="gpu-model: waits for a GPU") for n in range(12)]
    cluster = Cluster(*bodies, looks=1000)
    assert not await cluster.undone(timeout=30)
    assert cluster.now == 30
    said = capsys.readouterr().err
    assert said.startswith(
        "12 not undone after 30 s:\n  a/x00: Undoing: gpu-model: waits for a GPU\n"
    )
    assert "and 2 more" in said
    assert "kubectl patch kves x00 -n a --type=merge" in said


async def test_of_what_hangs_nothing_is_shown_that_steers_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    forged = sync("a", "x", message="waits\n\x1b[2JAll is undone.\u202e")
    assert not await Cluster(forged, looks=1000).undone(timeout=3)
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert "All is undone." not in text.splitlines()
        assert text.replace("\n", "").isprintable()


async def test_what_is_made_again_meanwhile_is_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster(sync("a", "x"))
    cluster.on_pause = lambda: cluster.bodies.append(sync("a", "x", uid="another"))
    assert not await cluster.undone()
    assert "Made again while all was undone: a/x. Take it out of" in capsys.readouterr().err


async def test_an_api_server_that_is_away_for_a_while_is_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Away(Cluster):
        async def list(self, resource: Resource, namespace: str | None = None) -> list[Body]:
            if self.deleted and self.now < 5:
                raise Unavailable("connection refused")
            return await super().list(resource, namespace)

    assert await Away(sync("a", "x"), looks=7).undone()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "   0.0s  cannot look, and goes on trying: connection refused",
        "   5.0s  0 of 1 undone; a/x: no operator has taken it up yet; said before: nothing",
        "All is undone.",
    ]
    assert not await Away(sync("a", "x"), looks=1000).undone(timeout=3)
    assert "1 not undone after 3 s:" in capsys.readouterr().err


async def test_an_object_that_somebody_else_deletes_first_is_no_error() -> None:
    class Raced(Cluster):
        async def delete(
            self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
        ) -> Body:
            await super().delete(resource, namespace, name, uid=uid)
            raise Conflict("the UID in the precondition does not match", status=409)

    assert await Raced(sync("a", "x")).undone()


@pytest.mark.parametrize(
    "words",
    [
        ["--all", "team", "model"],
        ["--all", "--no-wait"],
        ["--all", "--name", "x"],
        ["model", "--namespace", "team", "--namespace", "other"],
        [],
    ],
    ids=" ".join,
)
def test_words_that_do_not_go_together_are_a_usage_error(words: list[str]) -> None:
    done = CliRunner().invoke(disable, words)
    assert done.exit_code == 2
    assert "--all" in done.output
