"""`python -m testbed.gateway`: the container's entry point in the testbed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from testbed.gateway import settings
from testbed.gateway.gateway import Gateway
from testbed.gateway.klog import Klog
from testbed.gateway.pod_source import ApiPods
from testbed.gateway.releases import release_of


async def _run() -> None:
    image = os.environ.get("TESTBED_IMAGE")
    if image is None:
        raise SystemExit("TESTBED_IMAGE is not set: the testbed's kubelet sets it; see its page")
    klog = Klog()
    chosen = settings.read(os.environ, release_of(image))
    klog.info("main.go:98", f"gateway stand-in for {chosen.release.name}")
    running = asyncio.create_task(Gateway(chosen, ApiPods(klog), klog).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


def main() -> None:
    """Runs until SIGTERM; exit status 0 then."""
    asyncio.run(_run())


if __name__ == "__main__":
    main()
