"""A worker whose reader has the faults that no message of a stranger must have: run as a program.

The payload orders one: ``die``, ``hang``, ``eat`` (memory), ``lie`` (something else on its stdout).
"""

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from kvsync.adapters.probe.worker import run_worker
from kvsync.core.gist import read_gist
from kvsync.model.source import Gist
from kvsync.shell.readers import READERS

MEMORY = 96 << 20


def read(frames: Sequence[bytes]) -> Gist:
    order = frames[-1]
    if order == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == b"eat":
        kept = [bytes(1 << 20)]
        while True:
            kept.append(bytes(bytearray(1 << 20)))
    while order == b"hang":
        pass
    if order == b"lie":
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, b"\xff" * 8)
            except OSError:
                continue
    return read_gist(frames)


if __name__ == "__main__":
    run_worker(replace(READERS, whole=read, gist=read), MEMORY, int(sys.argv[1]))
