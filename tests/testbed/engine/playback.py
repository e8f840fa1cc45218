"""Publish a captured stream again: ``python -m testbed.engine.playback FILE --port PORT``.

Topic, sequence and payload frames go out byte for byte as they were captured.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import zmq


def frames(path: Path) -> Iterator[list[bytes]]:
    """The three frames of each captured batch, in order."""
    with path.open() as lines:
        for line in lines:
            entry = json.loads(line)
            yield [
                entry["topic"].encode(),
                bytes.fromhex(entry["seq_hex"]),
                bytes.fromhex(entry["payload_hex"]),
            ]


def play(path: Path, publisher: "zmq.Socket[bytes]", rate: float | None = None) -> int:
    """Send every batch, at ``rate`` batches a second if given; how many were sent."""
    sent = 0
    for batch in frames(path):
        publisher.send_multipart(batch)
        sent += 1
        if rate:
            time.sleep(1 / rate)
    return sent


def main(arguments: Sequence[str] | None = None) -> int:
    """Bind, wait for the first subscriber, play once, then stay for SIGTERM."""
    options = _options(arguments)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher = context.socket(zmq.XPUB)  # a PUB to its subscribers, but it sees them come
    publisher.set_hwm(0)
    publisher.bind(f"tcp://*:{options.port}")
    print("listening", flush=True)
    publisher.recv()
    print(f"played {play(options.file, publisher, options.rate)}", flush=True)
    while not options.once:
        publisher.recv()
    context.destroy(linger=2000)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="testbed.engine.playback", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, help="batches a second; as fast as can be without")
    parser.add_argument("--once", action="store_true", help="end after the last batch")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
