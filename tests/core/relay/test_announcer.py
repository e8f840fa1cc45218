"""Everything is told again: who triggers it, how fast, and what comes between."""

from core.relay.test_relay_decisions import Bench, removed, stored
from kvsync.core.relay.announcer import Rhythm
from kvsync.core.relay.encoding import MESSAGE_EVENTS
from kvsync.core.relay.subscriptions import Subscriptions
from kvsync.model.events import WATCHING
from testbed.gateway import array_decoder

SLOWLY = Rhythm(every=100.0, budget=50.0)


def events_after(bench: Bench, now: float) -> int:
    """How many events the relay says by then."""
    bench.relay.tick(now)
    count = 0
    while (message := bench.relay.next_message(1.0)) is not None:
        count += len(array_decoder.decode(message[2]))
        bench.reader.take([message])
    return count


def full(blocks: int, rhythm: Rhythm = SLOWLY) -> Bench:
    bench = Bench(rhythm=rhythm)
    bench.say(*[stored(n + 1) for n in range(blocks)])
    return bench


def test_a_new_reader_is_told_all_within_the_budget() -> None:
    bench = full(500)
    bench.relay.subscribed(b"\x01", 200.0)
    said = [events_after(bench, 200.0 + n / 10) for n in range(1, 110)]
    assert sum(said) == 500
    assert max(said[1:]) <= 6
    assert not bench.relay.announcer.is_busy


def test_all_is_told_again_slowly_and_evenly() -> None:
    bench = full(1000, Rhythm(every=100.0, budget=1000.0))
    assert events_after(bench, 99.0) == 0
    said = [events_after(bench, 100.0 + n / 10) for n in range(1000)]
    assert sum(said) == 1000
    assert max(said[1:]) <= 3
    assert sum(said[:500]) > 500
    bench.say(removed(*range(1, 1001)))
    assert sum(events_after(bench, 200.0 + n / 10) for n in range(10)) == 0


def test_never_where_it_is_not_wanted() -> None:
    bench = full(3, Rhythm(every=0.0))
    assert events_after(bench, 1e6) == 0


def test_what_was_removed_meanwhile_is_not_told_and_what_is_new_is_told_once() -> None:
    bench = full(20, Rhythm(every=0.0, budget=50.0))
    bench.relay.subscribed(b"\x01", 100.0)
    events_after(bench, 100.0)
    bench.say(removed(*range(10, 21)), stored(30, parent=9))
    fresh = Bench(rhythm=SLOWLY).reader
    bench.reader = fresh  # nothing before this moment
    for n in range(20):
        events_after(bench, 100.1 + n / 10)
    assert fresh.parents.keys() <= set(range(1, 10))
    assert bench.relay.announcer.announced <= 20


def test_no_message_is_long() -> None:
    bench = full(1000, Rhythm(budget=1e6))
    bench.relay.subscribed(b"\x01", 1.0)
    bench.relay.tick(2.0)
    while (message := bench.relay.next_message(1.0)) is not None:
        assert len(array_decoder.decode(message[2])) <= MESSAGE_EVENTS


def test_after_a_loss_all_is_told_again_the_later_the_more_often() -> None:
    bench = full(2, Rhythm(every=1000.0, budget=100.0))
    waits = []
    now = 0.0
    for _ in range(5):
        bench.relay.lost(now)
        bench.relay.lost(now)
        began = now
        while not events_after(bench, now):
            now += 0.125
        bench.relay.lost(now)  # this one went wrong, too
        waits.append(now - began)
        while bench.relay.announcer.is_busy:
            now += 0.125
            events_after(bench, now)
    assert waits[0] == 1.0
    assert waits == sorted(waits)
    assert waits[-1] >= 8.0


def test_a_reader_is_told_apart_from_one_that_only_watches() -> None:
    subscriptions = Subscriptions(b"kv")
    assert subscriptions.heard(b"\x01", 10.0)
    assert subscriptions.heard(b"\x01k", 10.0)
    assert not subscriptions.heard(b"\x01other", 10.0)
    assert not subscriptions.heard(b"\x01" + WATCHING, 20.0)
    assert not subscriptions.heard(b"\x01", 20.1)
    assert subscriptions.heard(b"\x01", 20.2)
    assert not subscriptions.heard(b"\x01" + WATCHING, 30.0)
    assert subscriptions.heard(b"\x01", 35.0)  # what was said too long ago does not count
    assert not subscriptions.heard(b"\x00", 36.0)
    assert not subscriptions.heard(b"", 36.0)
    assert not subscriptions.heard(b"hello", 36.0)
    assert subscriptions.standing == 7


def test_a_reader_in_the_first_minute_hears_that_all_before_is_void() -> None:
    bench = Bench()
    bench.relay.subscribed(b"\x01", 1.0)
    message = bench.relay.next_message(1.0)
    assert message is not None
    assert [type(e).__name__ for e in array_decoder.decode(message[2])] == ["AllBlocksCleared"]
    bench.relay.subscribed(b"\x01", 61.0)
    assert bench.relay.next_message(1.0) is None
