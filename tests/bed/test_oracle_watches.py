"""The oracle on a real API server: it sees every version, also across restarts, and who wrote it."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.history import annotated, with_variable
from chaos.judgement import Stage
from chaos.oracle import Oracle
from chaos.recorder import Recorder
from e2e.manifests import EVENTS_LABEL, model, sync
from testbed.api import Api
from testbed.cluster import ControlPlane
from testbed.enter import is_inside
from testbed.programs import find_programs
from testbed.session import HOW

pytestmark = [pytest.mark.bed, pytest.mark.timeout(180)]

_numbers = itertools.count(1)
CRD = Path(__file__).resolve().parents[2] / "crds" / "kveventsync.yaml"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of this file's own, without controllers: nothing changes by itself."""
    if not is_inside():
        pytest.fail(HOW, pytrace=False)
    with ControlPlane(tmp_path_factory.mktemp("plane"), find_programs()) as started:
        started.stop_controllers()
        started.api.apply(CRD)
        yield started


@pytest.fixture
def recorder(plane: ControlPlane) -> Iterator[Recorder]:
    with Recorder(plane.api) as recorder:
        yield recorder


@pytest.fixture
def oracle(plane: ControlPlane, recorder: Recorder) -> Iterator[Oracle]:
    namespace = f"stage-{next(_numbers)}"
    plane.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    plane.api.create(model("m", namespace))
    oracle = Oracle(recorder, plane.audit, Stage(namespace, rollouts={"m": 1}))
    oracle.begin()
    yield oracle
    oracle.close()


def write(api: Api, oracle: Oracle, number: int) -> None:
    """A change as an operator makes it."""
    patch = {"spec": {"template": {"metadata": {"labels": {EVENTS_LABEL: str(number)}}}}}
    api.patch("deployments", "m", patch, oracle.stage.namespace)


def numbers(oracle: Oracle) -> list[str]:
    """What the versions of the model say, one after the other."""
    versions = oracle.history().versions
    bodies = [v.body for v in versions if v.body and v.key[0] == "deployments"]
    labels = [body["spec"]["template"]["metadata"]["labels"] for body in bodies]
    return [each.get(EVENTS_LABEL, "") for each in labels]


def test_every_version_is_seen_and_users_are_told_from_the_operator(
    plane: ControlPlane, oracle: Oracle
) -> None:
    namespace = oracle.stage.namespace
    oracle.edit("deployments", "m", namespace, annotated("team", "search"))
    for number in range(20):
        write(plane.api, oracle, number)
    oracle.edit("deployments", "m", namespace, with_variable("LEVEL", "1"))
    assert numbers(oracle) == ["", "", *map(str, range(20)), "19"]
    assert oracle.rollouts() == {"m": 20}
    assert any("was restarted 20 times" in line for line in oracle.judge())
    assert any("m is not undone" in line for line in oracle.judge())
    plane.api.patch("deployments", "m", {"metadata": {"annotations": {"team": None}}}, namespace)
    assert any("user edit 1 of deployments" in line for line in oracle.judge())


def test_objects_that_come_and_go_are_seen(plane: ControlPlane, oracle: Oracle) -> None:
    namespace = oracle.stage.namespace
    plane.api.create(sync("kv", namespace, "m"))
    assert any("kv: is not Ready" in line for line in oracle.judge(within=0.3))
    assert any("kv: speaks of generation None" in line for line in oracle.judge(ready=False))
    plane.api.delete("kveventsyncs", "kv", namespace)
    assert oracle.judge() == []
    assert [v.body is None for v in oracle.history().versions] == [False, False, True]


@pytest.mark.parametrize("program", ["apiserver", "etcd"])
def test_no_version_is_lost_when_a_program_is_killed(
    plane: ControlPlane, oracle: Oracle, program: str
) -> None:
    write(plane.api, oracle, 1)
    oracle.history()
    restart = plane.restart_apiserver if program == "apiserver" else plane.restart_etcd
    restart(kill=True)
    for number in (2, 3, 4):
        write(plane.api, oracle, number)
    assert numbers(oracle) == ["", "1", "2", "3", "4"]
