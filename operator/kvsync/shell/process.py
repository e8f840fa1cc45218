"""The operator's process: from its settings to its end by a signal."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace

from kvsync.adapters.kube.access import Access
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.metrics import Metrics
from kvsync.shell.operator import Operator
from kvsync.shell.settings import Settings


async def serve(settings: Settings) -> None:
    """Run an operator until SIGINT or SIGTERM.

    Raises:
        AccessError: there is no way to an API server.
        KvsyncError: the address for metrics cannot be listened on.
        RuntimeError: the watch of KVEventSync objects ended by itself.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heed_signals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

    heed_signals()
    access = await Access.find(settings.kubeconfig, settings.context)
    own = settings.operator_namespace or access.pod_namespace
    settings = replace(settings, operator_namespace=own)
    metrics = Metrics()
    kube = Kube(access, on_answer=metrics.note_request)
    try:
        await Operator(settings, access, kube, metrics).run(
            stop, heed_signals
        )  # kopf puts its own in their place
    finally:
        await kube.close()
