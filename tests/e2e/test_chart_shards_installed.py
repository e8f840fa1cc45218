"""Two releases of the chart in one namespace: objects of their own, one gateway; one goes, then the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from e2e.installs import Install, installs_in, left_as_it_was, state
from e2e.manifests import model, sync
from e2e.scene import Scene

pytestmark = [pytest.mark.bed, pytest.mark.timeout(400)]


def values(label: str, **more: Any) -> dict[str, Any]:
    return {"objectSelector": {"matchLabels": {"shard": label}}, "replicas": 1, **more}


def server(scene: Scene, name: str) -> str:
    status = (scene.sync(name) or {}).get("status") or {}
    return str((status.get("shard") or {}).get("name"))


def told(scene: Scene, install: Install, label: str) -> None:
    """Assert that an object is served by its release, by the whole of its rights."""
    name = f"kv-{label}"
    scene.wait_ready(name, 120)
    assert server(scene, name) == f"{install.namespace}/{install.name}"


def test_two_releases_share_the_objects_and_go_one_after_the_other(
    scene: Scene, tmp_path: Path
) -> None:
    names = {"a": "m", "b": "n"}
    scene.create(*(model(name, scene.namespace) for name in names.values()))
    for name in names.values():
        scene.wait_available(name)
    before = state(scene, *names.values())
    with installs_in(scene, tmp_path, 4, "-a", "-b") as (first, second):
        first.upgrade(values("a"))
        second.upgrade(values("b", crds={"enabled": False}))
        for label, name in names.items():
            body = sync(f"kv-{label}", scene.namespace, name)
            body["metadata"]["labels"] = {"shard": label}
            scene.create(body)
        told(scene, first, "a")
        told(scene, second, "b")
        said = first.examine()
        assert "shards" in said
        assert "is served by one of 2" in said

        first.uninstall()
        assert scene.sync("kv-a") is None
        assert state(scene, "m")["m"] == before["m"]
        told(scene, second, "b")
        assert scene.gateway()["metadata"]["annotations"]["kvsync.aibrix.ai/owners"] == (
            f"{scene.namespace}/kv-b"
        )
        second.uninstall()
        left_as_it_was(scene, before)
