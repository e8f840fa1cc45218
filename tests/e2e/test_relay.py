"""The relay between engines of today and the gateway of today, by the gateway's own index."""

import os
import signal
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from bed.processes import running_with
from testbed.bed import Bed
from testbed.hits.manifests import KINDS, RELAY, Relay, Wish
from testbed.hits.measure import BLOCKS, load, measure
from testbed.hits.place import INITIALISED, Place, Sent, fill, held_by, prompts
from testbed.waiting import wait_for

pytestmark = pytest.mark.bed

PROMPTS = 6
QUICK = 4.0
"""Seconds in which everything is told again, where a story waits for it."""
ARRAYS, MAPS, PARALLEL = KINDS
_numbers = count(1)


@pytest.fixture
def place(bed: Bed) -> Iterator[Place]:
    """A namespace with a gateway that reads arrays alone."""
    name = f"relay-{next(_numbers)}"
    bed.create_namespace(name)
    made = Place(bed.api, name)
    made.install_gateway("v0.7.0")
    yield made
    made.close()


def test_with_a_relay_all_is_matched_of_every_engine_also_after_the_gateways_restart(
    place: Place,
) -> None:
    for row in measure(place, PROMPTS, print, Relay.RENDERED):
        assert row.first.whole, row
        assert row.again.whole, row
        assert row.whole_after < 20, row
        assert row.first.held == PROMPTS * BLOCKS
        if row.kind is PARALLEL:
            assert row.first_further.whole, row
            assert row.further.held == PROMPTS // 2 * BLOCKS


def test_without_a_relay_next_to_nothing_is_matched(place: Place) -> None:
    arrays, maps, parallel = measure(place, PROMPTS, print, Relay.NONE)
    assert arrays.first.matched == PROMPTS, "the first block of each event"
    assert maps.first.matched == parallel.first.matched == 0
    assert not any(row.again.matched for row in (arrays, maps, parallel))


def test_prompts_come_back_to_the_pod_that_holds_them_also_after_the_gateways_restart(
    place: Place,
) -> None:
    place.put_up(MAPS, "pair", Wish(Relay.RENDERED, replicas=2))
    engines = place.engines("pair", 2)
    sent: list[Sent] = []
    for seed, engine in enumerate(engines):
        place.heard(engine)
        sent += fill([engine], prompts(PROMPTS, BLOCKS, seed))
    place.gateway.until_whole(sent, held_by(sent))
    assert [place.gateway.route("pair", one.prompt) for one in sent[::2]] == holders(sent[::2])

    place.gateway.restart()
    place.gateway.until_whole(sent, held_by(sent))
    assert [place.gateway.route("pair", one.prompt) for one in sent[1::2]] == holders(sent[1::2])


def holders(sent: Sequence[Sent]) -> list[tuple[str, int]]:
    """Who holds each prompt, and that it is wholly matched."""
    return [(one.engine.key.rpartition("/")[2], 100) for one in sent]


def test_six_loading_engines_do_not_stall_a_gateway_that_starts(place: Place) -> None:
    assert load(place, print, Relay.RENDERED).startswith("initialised")
    seconds = place.gateway.seconds_to(INITIALISED)
    assert seconds is not None
    said = place.gateway.log()
    assert seconds < 5, f"one engine without an answer takes five: {said}"
    assert "Failed to request" not in said
    assert said.count("Successfully requested replay") == 6


def test_what_one_pods_removal_took_from_another_is_told_again(place: Place) -> None:
    place.put_up(MAPS, "pair", Wish(Relay.BY_HAND, replicas=2, blocks=64, reannounce=QUICK))
    evicting, keeping = place.engines("pair", 2)
    for engine in (evicting, keeping):
        place.heard(engine)
    (prompt,) = prompts(1, BLOCKS, seed=1)
    both = fill((evicting, keeping), [prompt])
    place.gateway.until_whole(both, 2 * BLOCKS)

    fill([evicting], prompts(10, BLOCKS, seed=2))
    # What is stored before its parent is told again must hang right all the same.
    longer = f"{prompt} {prompts(1, BLOCKS, seed=3)[0]}"
    fill([keeping], [longer])
    wait_for(
        lambda: place.gateway.match("pair", prompt) == {keeping.key: BLOCKS},
        3 * QUICK + 10,
        what="what the other pod holds",
    )
    wait_for(
        lambda: place.gateway.match("pair", longer) == {keeping.key: 2 * BLOCKS},
        3 * QUICK + 10,
        what="what the other pod stored meanwhile",
    )
    assert Sent(keeping, prompt).held() == BLOCKS
    assert Sent(evicting, prompt).held() == 0, "it was computed anew"


def test_a_pod_that_ends_takes_nothing_from_the_others(place: Place) -> None:
    place.put_up(MAPS, "pair", Wish(Relay.RENDERED, replicas=2))
    ending, staying = place.engines("pair", 2)
    for engine in (ending, staying):
        place.heard(engine)
    texts = prompts(PROMPTS, BLOCKS, seed=1)
    sent = fill((ending, staying), texts)
    place.gateway.until_whole(sent, held_by(sent))

    place.end(ending)
    wait_for(lambda: place.gateway.subscription(ending) is None, 30.0, what="the end of the other")
    known = [place.gateway.match("pair", text) for text in texts]
    assert known == [{staying.key: BLOCKS}] * PROMPTS, "long before all is told again"


def test_a_killed_relay_is_started_again_and_tells_what_the_engine_replays(place: Place) -> None:
    place.put_up(MAPS, "killed", Wish(Relay.BY_HAND))
    (engine,) = place.engines("killed")
    place.heard(engine)
    sent = fill([engine], prompts(PROMPTS, BLOCKS, seed=3))
    place.gateway.until_whole(sent, held_by(sent))

    os.kill(relay_of(engine.address), signal.SIGKILL)
    wait_for(lambda: place.restarts_of(engine, RELAY) == 1, 30.0, what="the relay's restart")
    place.gateway.restart()
    sent += fill([engine], prompts(1, BLOCKS, seed=4))
    place.gateway.until_whole(sent, held_by(sent))
    assert place.restarts_of(engine, "vllm") == 0


def relay_of(address: str) -> int:
    """The process of the relay in a pod with this address; not the one that holds its namespaces."""
    found = [
        number
        for number in running_with("kvsync relay")
        if _read(number, "cmdline").split("\0")[2:3] == ["relay"]
        and address in _read(number, "net/fib_trie")
    ]
    assert len(found) == 1, found
    return found[0]


def _read(number: int, name: str) -> str:
    """What the kernel says of a process; nothing of one that is gone."""
    try:
        return Path(f"/proc/{number}/{name}").read_text()
    except OSError:
        return ""
