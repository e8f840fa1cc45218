"""When the policy does not act: an API server that has just started, a CRD that came after it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bed.admission.stage import (
    CRD,
    EFFECTIVE,
    INJECTED,
    POLICY,
    Stage,
    checks,
    entry,
    established,
    in_effect,
    labels,
    pod,
)
from testbed.cluster import ControlPlane
from testbed.programs import find_programs

pytestmark = pytest.mark.bed


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that knows nothing of us yet."""
    with ControlPlane(tmp_path_factory.mktemp("fresh"), find_programs()) as started:
        yield started


def test_pods_are_let_through_while_it_is_blind_and_get_theirs_again(
    fresh: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh.api.create_all(POLICY)
    stage = Stage(fresh)
    assert stage.tried(pod()), "a policy whose parameters are of no known kind keeps no pod out"

    fresh.api.apply(CRD)
    established(fresh.api)
    stage.write(entry())
    blind = [in_effect(stage)]

    for down in (0.0, 3.0):
        fresh.restart_apiserver(down)
        begun = time.monotonic()
        # Under failurePolicy Fail this would be refused until then.
        assert stage.tried(pod())
        in_effect(stage)
        blind.append(time.monotonic() - begun)
        assert labels(stage.tried(pod()))[INJECTED]
    with capsys.disabled():
        told = ", ".join(f"{seconds:.1f} s" for seconds in blind)
        print(f"\nblind: after the CRD, after two restarts: {told}")
    assert max(blind) < EFFECTIVE
    # What it does not know yet is no error of ours, but counted; from now on none is.
    before = checks(fresh.api)
    stage.publish(entry())
    after = checks(fresh.api)
    assert after["no_error"] > before["no_error"]
    del after["no_error"], before["no_error"]
    assert after == before
