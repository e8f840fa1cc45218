"""What a publisher of the stand-in sends, and replays, for the batches that real releases were given."""

from collections.abc import Sequence
from contextlib import suppress

from testbed.engine.events_config import EventsConfig
from testbed.engine.launch import free_ports
from testbed.engine.layouts import Layout
from testbed.engine.listen import Listener, ask_replay
from testbed.engine.publisher import Publisher
from testbed.engine.wire import Event, encode_batch

Messages = list[list[bytes]]
Batches = Sequence[tuple[float, list[Event]]]


def in_hex(messages: Messages) -> list[list[str]]:
    """The frames as the golden files have them."""
    return [[frame.hex() for frame in message] for message in messages]


def published_and_replayed(layout: Layout, batches: Batches) -> tuple[Messages, Messages]:
    """What a subscriber and a replay peer receive.

    A subscription may reach the publisher after its first message: then it is tried again.

    Raises:
        TimeoutError: twenty times over.
    """
    for _ in range(20):
        with suppress(TimeoutError):
            return _once(layout, batches)
    raise TimeoutError("no subscription arrived in time")


def _once(layout: Layout, batches: Batches) -> tuple[Messages, Messages]:
    port, replay_port = free_ports(2)
    config = EventsConfig(
        endpoint=f"tcp://*:{port}", replay_endpoint=f"tcp://*:{replay_port}", topic="t"
    )
    publisher = Publisher(config, layout)
    try:
        with Listener(f"tcp://127.0.0.1:{port}") as listener:
            listener.wait_connected()
            for ts, events in batches:
                publisher.publish(encode_batch(layout, ts, events, 0))
            received = [listener.receive(500) for _ in batches]
        return received, ask_replay(f"tcp://127.0.0.1:{replay_port}", (1).to_bytes(8, "big"))
    finally:
        publisher.close()
