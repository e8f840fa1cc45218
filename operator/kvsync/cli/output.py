"""Lines on stdout for another program: flushed one by one, and no noise when it stops reading."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

import click

from kvsync.model.errors import KvsyncError


class NobodyReads(Exception):  # noqa: N818 - not an error: `| head` has what it wants
    """Stdout's reader closed it."""


def write_line(text: str) -> None:
    """Write a line and flush it.

    Raises NobodyReads where the reader is gone, KvsyncError where stdout takes no more.
    """
    try:
        click.echo(text)
    except OSError as error:
        raise cannot_write(error) from error


def cannot_write(error: OSError) -> NobodyReads | KvsyncError:
    """What an error of writing to stdout means. Nothing more is written to it after that."""
    _silence()
    if error.errno == errno.EPIPE:
        return NobodyReads()
    return KvsyncError(f"cannot write to stdout: {error.strerror}")


def _silence() -> None:
    # What is still buffered would fail again, noisily, when Python ends.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
