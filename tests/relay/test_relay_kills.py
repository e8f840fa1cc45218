"""Relay and engine killed at random under load, seeded: a gateway that stays ends up right every time."""

import os
import random
import time
from pathlib import Path

import pytest

from relay.kill_stage import Load, Machine, OldGateway, Prompts, Watch

KILLS = int(os.environ.get("KVSYNC_RELAY_KILLS", "16"))
SEED = int(os.environ.get("KVSYNC_KILLS_SEED", "8"))
WAVE = 4
"""Kills after which both are let alone until all is right again."""
CYCLE = 10.0
"""Seconds from one re-announcement to the next."""


@pytest.mark.timeout(60 + 6 * KILLS)
def test_the_gateways_view_is_the_engines_after_each_wave_of_kills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(SEED)
    prompts = Prompts(random.Random(SEED))
    machine = Machine(tmp_path / "journal", "--reannounce", f"{CYCLE:g}s")
    gateway = OldGateway(machine.listen)
    load, watch = Load(machine, prompts), Watch(machine, gateway)
    killed: dict[str, int] = {}
    settled: list[float] = []
    newcomers = 0
    try:
        machine.engine.wait_ready()
        with load.on():
            watch.wait(2.0)
        watch.settle(prompts, CYCLE)
        while sum(killed.values()) < KILLS:
            with load.on():
                for _ in range(min(WAVE, KILLS - sum(killed.values()))):
                    what = dice.choice(["relay", "relay", "engine", "both"])
                    kill(machine, what, dice)
                    watch.note_kill()
                    killed[what] = killed.get(what, 0) + 1
                    watch.wait(dice.uniform(0.05, 1.0))
                machine.engine.wait_ready()
                watch.wait(0.5)
            settled.append(watch.settle(prompts, CYCLE + 1.0))
            newcomers += watch.check_newcomer(prompts, CYCLE)
    finally:
        gateway.close()
        machine.end()
    with capsys.disabled():
        print(
            f"\n{killed}, seed {SEED}: {load.answered} prompts, {gateway.messages} messages; right again "
            f"after at most {max(settled):.1f} s; believed and not there for {watch.longest:.1f} s at "
            f"most, {watch.longest_let_alone:.1f} s of it after a last kill; {newcomers} newcomers told all"
        )
    assert watch.longest_let_alone < CYCLE
    assert newcomers > 0


def kill(machine: Machine, what: str, dice: random.Random) -> None:
    """Kill, and start again a moment later, in either order."""
    if what != "engine":
        machine.kill_relay()
    if what != "relay":
        machine.kill_engine()
    time.sleep(dice.uniform(0.0, 0.1))
    starts = [machine.start_relay] if what != "engine" else []
    starts += [machine.start_engine] if what != "relay" else []
    dice.shuffle(starts)
    for start in starts:
        start()
