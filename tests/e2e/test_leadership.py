"""Two operators, one of which leads: it dies, ends or stands still, and the other one goes on.

Both run under the install manifest's rights. Each names itself in the API server's audit log.
"""

from __future__ import annotations

import re
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from e2e.manifests import model, sync
from e2e.rolling import watched
from e2e.scene import OperatorProcess, Scene
from testbed.audit import Request
from testbed.engine.launch import free_ports

pytestmark = [pytest.mark.bed, pytest.mark.timeout(240)]

LEASE = ("kvsync-operator", "kvsync-system")
MODELS = [f"m{number}" for number in range(6)]
Start = Callable[..., OperatorProcess]


class Replica:
    """One of several operators that share a Lease."""

    def __init__(self, start: Start) -> None:
        (self.port,) = free_ports(1)
        self.operator = start(
            *("--leader-elect", "--operator-namespace", LEASE[1]),
            *("--metrics-address", f"127.0.0.1:{self.port}"),
        )

    def ready(self) -> str:
        """What /readyz says; empty while it does not say 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as page:
                return str(page.read().decode().strip())
        except (urllib.error.URLError, OSError):
            return ""


class Stage:
    """A scene without a Lease at first, and what was done to it."""

    def __init__(self, scene: Scene, start: Start) -> None:
        self.scene = scene
        self._start = start
        if scene.api.find("leases", *LEASE) is not None:
            scene.api.delete("leases", *LEASE)
        self.mark = scene.bed.audit.mark()

    def replica(self) -> Replica:
        return Replica(self._start)

    def spec(self) -> dict[str, Any]:
        found = self.scene.api.find("leases", *LEASE)
        return dict(found["spec"]) if found else {}

    def holder(self) -> str:
        return str(self.spec().get("holderIdentity") or "")

    def pair(self) -> tuple[Replica, Replica, str]:
        """A leader, a standby that is ready, and the leader's name."""
        leader = self.replica()
        self.scene.wait("a leader", self.holder)
        self.scene.wait("the leader ready", lambda: "leads" in leader.ready())
        standby, first = self.replica(), self.holder()
        self.scene.wait("a standby", lambda: standby.ready() == f"standby; leader is {first}")
        return leader, standby, first

    def takeover(self, first: str, within: float) -> float:
        """Seconds until another one holds the Lease."""
        begun = time.monotonic()
        while self.holder() in ("", first):
            assert time.monotonic() - begun < within + 10, self.spec()
            time.sleep(0.02)
        took = time.monotonic() - begun
        assert took < within, f"took {took:.1f} s"
        return took

    def requests(self) -> list[Request]:
        """What the operators of this stage asked, in the order of the answers."""
        found = self.scene.bed.audit.requests(
            user_agent_contains="kvsync-operator", since=self.mark
        )
        mine = {instance(r) for r in found if r.resource == "leases" and r.name == LEASE[0]}
        return [request for request in found if instance(request) in mine]


def instance(request: Request) -> str:
    found = re.search(r"\(([^)]+)\)", request.user_agent)
    return found.group(1) if found else ""


def is_write(request: Request) -> bool:
    return request.wrote and request.resource != "leases"


@pytest.fixture
def stage(scene: Scene, start_operator: Start) -> Stage:
    return Stage(scene, start_operator)


def revision(scene: Scene, name: str) -> int:
    annotations = scene.deployment(name)["metadata"]["annotations"]
    return int(annotations["deployment.kubernetes.io/revision"])


def changed(scene: Scene, originals: dict[str, Any]) -> int:
    return sum(scene.template(name) != template for name, template in originals.items())


def children(replica: Replica) -> list[str]:
    """The processes that watch engines for it."""
    pid = replica.operator.process.pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def two_models(scene: Scene) -> dict[str, Any]:
    """Two models that run, and their templates."""
    names = ("m", "n")
    scene.create(*(model(name, scene.namespace) for name in names))
    for name in names:
        scene.wait_available(name)
    return {name: scene.template(name) for name in names}


def test_the_leader_is_killed_in_the_middle_of_a_wave_and_nothing_is_done_twice(
    stage: Stage,
) -> None:
    scene = stage.scene
    scene.create(*(model(name, scene.namespace) for name in MODELS))
    for name in MODELS:
        scene.wait_available(name)
    originals = {name: scene.template(name) for name in MODELS}
    gateway = scene.gateway()["spec"]["template"]
    leader, standby, first = stage.pair()
    with watched(scene) as witness:
        scene.create(sync("kv", scene.namespace, *MODELS, rollout={"maxConcurrent": 1}))
        scene.wait("the wave in its middle", lambda: changed(scene, originals) >= 2)
        assert children(leader) != []
        assert children(standby) == [], "a standby watches no engine"
        leader.operator.kill()
        assert changed(scene, originals) < len(MODELS)
        took = stage.takeover(first, 15.0)
        second = stage.holder()
        scene.wait("it leads", lambda: "leads" in standby.ready())
        scene.wait_ready("kv", 120)
    print(f"takeover after kill -9: {took:.1f} s")
    assert stage.spec()["leaseTransitions"] == 1

    assert len(witness.most) <= 1, witness.most
    assert {revision(scene, name) for name in MODELS} == {2}, "one restart each"
    asked = stage.requests()
    wrote = [r for r in asked if is_write(r)]
    assert {instance(r) for r in wrote} == {first, second}
    who = [instance(r) for r in wrote]
    assert all((a, b) != (second, first) for a, b in pairwise(who)), "never again the first"
    taken = next(i for i, r in enumerate(asked) if _took(r, second))
    assert not [r for r in asked[:taken] if is_write(r) and instance(r) == second], "standby wrote"
    assert not [r for r in asked[taken:] if is_write(r) and instance(r) == first]
    # The template of each, once; what comes behind it is of the metadata alone (the revision tells).
    patched = Counter(r.name for r in wrote if r.resource == "deployments")
    assert all(patched[name] == 1 for name in MODELS), patched

    scene.delete_sync("kv")
    for name in MODELS:
        scene.wait_available(name)
    assert {name: scene.template(name) for name in MODELS} == originals
    assert scene.gateway()["spec"]["template"] == gateway


def _took(request: Request, name: str) -> bool:
    """Whether it is the update by which somebody got the Lease."""
    took = request.verb in ("create", "update") and request.code < 300
    return request.resource == "leases" and took and instance(request) == name


def test_a_leader_that_is_told_to_end_stops_lets_go_and_the_other_one_leads_at_once(
    stage: Stage,
) -> None:
    scene = stage.scene
    originals = two_models(scene)
    leader, standby, first = stage.pair()
    scene.create(sync("kv", scene.namespace, *originals, rollout={"maxConcurrent": 1}))
    scene.wait("the wave begun", lambda: changed(scene, originals) >= 1)
    leader.operator.process.terminate()
    took = stage.takeover(first, 3.0)
    print(f"takeover after SIGTERM: {took:.1f} s")
    assert leader.operator.process.wait(10) == 0
    scene.wait("it leads", lambda: standby.ready() == "ok; this one leads")
    scene.wait_ready("kv", 60)
    assert stage.spec()["leaseTransitions"] == 1
    asked = stage.requests()
    released = max(i for i, r in enumerate(asked) if _took(r, first))
    assert not [r for r in asked[released:] if is_write(r) and instance(r) == first]
    assert {revision(scene, name) for name in originals} == {2}
    assert standby.operator.stop() == 0
    assert stage.holder() == "", "the last one lets go too"


def test_a_leader_that_stood_still_writes_nothing_any_more_and_ends(stage: Stage) -> None:
    scene = stage.scene
    two_models(scene)
    leader, _, first = stage.pair()
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    leader.operator.process.send_signal(signal.SIGSTOP)
    # Something to do that both know of.
    patch = {"spec": {"models": {"names": ["m", "n"]}}}
    scene.api.patch("kveventsyncs", "kv", patch, scene.namespace)
    took = stage.takeover(first, 15.0)
    print(f"takeover after SIGSTOP: {took:.1f} s")
    awoken = scene.bed.audit.mark()
    leader.operator.process.send_signal(signal.SIGCONT)
    assert leader.operator.process.wait(10) == 1
    scene.wait("n configured", lambda: "kv-events" in str(scene.container("n").get("args")), 60)
    scene.wait_ready("kv", 60)
    late = scene.bed.audit.writes(user_agent_contains=first, since=awoken)
    assert late == [], "it wrote after it awoke"
    assert revision(scene, "n") == 2
    said = leader.operator.log.read_text()
    assert "leadership lost, this process ends" in said
