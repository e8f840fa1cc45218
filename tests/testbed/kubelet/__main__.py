"""``python -m testbed.kubelet``: run the nodes of a bed until SIGTERM."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from testbed.kubelet.client import Client
from testbed.kubelet.images import ImageTable
from testbed.kubelet.logs import LogServer
from testbed.kubelet.node import Kubelet
from testbed.network import Network


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="testbed.kubelet", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=8)
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    """Register, say ``ready``, run pods; on SIGTERM leave it to the kernel to end the rest."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    options.state.mkdir(parents=True, exist_ok=True)
    client = Client(options.kubeconfig)
    kubelet = Kubelet(
        client,
        Network.from_file(options.network),
        ImageTable(options.images),
        options.state,
        options.nodes,
        options.gpus,
    )
    server = LogServer(kubelet.find, options.certificate, options.key)
    await kubelet.register(server)
    tasks = [asyncio.create_task(kubelet.renew_leases()), asyncio.create_task(kubelet.run_pods())]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for runner in list(kubelet.pods.values()):
        for each in runner.supervisors:
            each.process.send(signal.SIGKILL)
    await server.close()
    await client.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(main(parse()))
