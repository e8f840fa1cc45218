"""The operator's process: from its settings to its end by a signal, or by another one that leads."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import socket

from kvsync.adapters.kube.access import Access
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.lease import LeaseDoor
from kvsync.adapters.metrics import Metrics
from kvsync.core.leadership import Terms
from kvsync.shell.leadership import Leadership
from kvsync.shell.operator import Operator
from kvsync.shell.settings import Settings

log = logging.getLogger(__name__)

GENERATIONS = (20_000, 20, 10)
"""Of the garbage collector (``gc.set_threshold``). What is known of a cluster is hundreds of thousands of
dictionaries that stay and hold no cycle: with Python's own 700 a half of a start's time went into
looking at them again and again."""


async def serve(settings: Settings) -> None:
    """Run an operator until SIGINT or SIGTERM. The process ends where leadership is lost.

    Raises:
        AccessError: there is no way to an API server.
        SettingsError: the settings contradict what is found here.
        KvsyncError: the address for metrics cannot be listened on.
        RuntimeError: the watch of KVEventSync objects ended by itself.
    """
    gc.freeze()  # modules stay as well
    gc.set_threshold(*GENERATIONS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heed_signals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

    heed_signals()
    access = await Access.find(settings.kubeconfig, settings.context)
    settings = settings.at(access.pod_namespace)
    metrics = Metrics(settings.shard_name)
    me = _identity()
    # Of its own: what says who may write must pass while nothing else may, and wait for nobody.
    lease = Kube(access, on_answer=metrics.note_request, instance=me)
    leadership = _leadership(settings, lease, me) if settings.leader_elect else None
    may_write = leadership.holds if leadership is not None else None
    kube = Kube(access, on_answer=metrics.note_request, may_write=may_write, instance=me)
    try:
        await Operator(settings, access, kube, metrics, leadership).run(
            stop, heed_signals
        )  # kopf puts its own in their place
    finally:
        await kube.close()
        await lease.close()


def _leadership(settings: Settings, kube: Kube, me: str) -> Leadership:
    door = LeaseDoor(kube, settings.operator_namespace, settings.lease)
    return Leadership(door, me, Terms(settings.lease_duration), on_lost=end_at_once)


def _identity() -> str:
    """A name of this process alone: its host's, which is a pod's own name, and chance: a container that
    starts again must not take its former life's Lease for its own."""
    return f"{socket.gethostname()}_{secrets.token_hex(4)}"


def end_at_once(why: str) -> None:
    """Leadership is lost: nothing is tidied up, as after kill -9, and the exit code is 1."""
    log.error("leadership lost, this process ends: %s", why)
    logging.shutdown()
    os._exit(1)
