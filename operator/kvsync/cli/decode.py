"""``kvsync decode FILE|-``: what a recorded stream says, one JSON object a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import BinaryIO

import click

from kvsync.adapters.lines import read_lines
from kvsync.cli.output import NobodyReads, write_line
from kvsync.core.event_json import Json
from kvsync.core.recording import LINE_LIMIT, decode_line_or_error, error_json
from kvsync.core.wire import Keep
from kvsync.model.errors import KvsyncError


@click.command()
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
@click.option("--token-ids", is_flag=True, help="Show token ids too: they are what users wrote.")
def decode(file: BinaryIO, token_ids: bool) -> None:
    """Decode recorded messages of FILE, or of stdin, to JSON Lines. Needs no cluster.

    A line in is {"frames_hex": [topic, sequence, payload]} as kvsync record writes it, or a capture
    with "topic", "seq_hex" and "payload_hex". A line out is {"topic", "sequence", "timestamp",
    "rank", "events"}, each event with its "type" and the fields that were sent, or {"error"}. Each
    line in gives one line out, in order; blank ones are skipped.

    Exit code 0: all lines were decoded. 1: there was an error. 2: FILE cannot be opened.
    """
    all_decoded = True
    try:
        for shown, decoded in _entries(file, Keep(token_ids=token_ids, extra_keys=True)):
            all_decoded &= decoded
            write_line(json.dumps(shown, allow_nan=False))
    except NobodyReads:
        pass
    if not all_decoded:
        sys.exit(1)


def _entries(file: BinaryIO, keep: Keep) -> Iterator[tuple[Json, bool]]:
    try:
        for line in read_lines(file, LINE_LIMIT):
            if line.text is None:
                yield error_json(line.number, f"is longer than {LINE_LIMIT} bytes"), False
            elif line.text.strip():
                yield decode_line_or_error(line.text, keep, line.number)
    except OSError as error:
        raise KvsyncError(f"{file.name}: cannot be read: {error.strerror}") from error
