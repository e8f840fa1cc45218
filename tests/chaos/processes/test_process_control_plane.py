"""kill -9 of the API server and of etcd in the middle of a wave and of the way back; a Lease that goes."""

from __future__ import annotations

import pytest

from chaos.processes.play import LEASE, Play

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


@pytest.mark.parametrize("program", ["kube-apiserver", "etcd"])
def test_killed_and_started_again(play: Play, program: str) -> None:
    plane = play.scene.bed.plane
    restart = plane.restart_etcd if program == "etcd" else plane.restart_apiserver
    play.keep()
    play.enable(lambda: restart(0.5, kill=True))
    before, operator = play.converged(play.kept), play.kept
    play.undo(lambda: restart(0.5, kill=True))
    if play.kept is operator:
        play.check_nothing_left(operator, before)


def test_away_for_longer_than_a_lease_lasts(play: Play) -> None:
    """The leader ends, and who leads then goes on from what stands there."""
    plane = play.scene.bed.plane
    first = play.start()
    play.wait("a leader", lambda: holder(play))
    play.keep()

    def away() -> None:
        plane.restart_apiserver(10.0, kill=True)
        assert first.process.wait(20) == 1

    play.enable(away)
    play.undo()
    assert play.end() == 0


def test_the_lease_is_deleted_under_a_leader(play: Play) -> None:
    operator = play.start()

    def lose() -> None:
        play.scene.api.delete("leases", *LEASE)

    play.enable(lose)
    before = play.converged(operator)
    play.scene.wait("the Lease again", lambda: play.scene.api.find("leases", *LEASE))
    play.undo(lose)
    play.check_nothing_left(operator, before)


def test_another_takes_the_lease_from_a_leader(play: Play) -> None:
    """Whoever holds it by then, the old leader writes nothing more and ends; the next one finishes."""
    first = play.start()

    def steal() -> None:
        patch = {"spec": {"holderIdentity": "stranger", "leaseDurationSeconds": 3}}
        play.scene.api.patch("leases", LEASE[0], patch, LEASE[1])
        assert first.process.wait(20) == 1
        play.keep()

    play.enable(steal)
    play.undo()
    assert play.end() == 0


def holder(play: Play) -> str:
    """Who holds the Lease."""
    found = play.scene.api.find("leases", *LEASE) or {}
    return str((found.get("spec") or {}).get("holderIdentity") or "")
