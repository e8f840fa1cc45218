"""A bridge, and one network namespace for every pod on it.

Namespaces make pods true: each has an address of its own, several may bind the same port, and the
containers of one share ``localhost``. Everything is done with ``ip`` (iproute2); it needs root, or
a user namespace in which the caller is root.
"""

import asyncio
import ipaddress
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

BRIDGES = 156  # 10.100.0.0/16 up to 10.255.0.0/16
FIRST_POD = 10  # what is below is for the bridge and for a test's own use
PARALLEL_IP = 4  # they wait for one lock in the kernel: more at once gains nothing


class NetworkError(RuntimeError):
    """A network could not be made or changed; the message carries what ``ip`` said."""


@dataclass(frozen=True)
class Attachment:
    """A pod's place on the network: its namespace's name and its address."""

    namespace: str
    address: str
    link: str

    @property
    def path(self) -> str:
        """The file that ``nsenter --net`` and ``setns`` take."""
        return f"/run/netns/{self.namespace}"


class Addresses:
    """Hands out addresses in turn, so that a freed one is the last to come back.

    A peer that still talks to a dead pod's address (an ARP entry, an open connection) must find
    nobody there, rather than the pod that came next.
    """

    def __init__(self, subnet: str, first: int = FIRST_POD) -> None:
        self._network = ipaddress.ip_network(subnet)
        self._first = first
        self._next = first
        self._taken: set[int] = set()

    def take(self) -> str:
        """Return a free address; raises NetworkError when there is none."""
        end = self._network.num_addresses - 1
        for _ in range(end - self._first):
            index = self._next
            self._next = self._first if index + 1 >= end else index + 1
            if index not in self._taken:
                self._taken.add(index)
                return str(self._network[index])
        raise NetworkError(f"no free address in {self._network}: delete pods, or use a new bed")

    def give_back(self, address: str) -> None:
        """Make ``address`` free; unknown ones are ignored."""
        offset = int(ipaddress.ip_address(address)) - int(self._network.network_address)
        self._taken.discard(offset)


class Network:
    """A bridge with an address, and the pods attached to it.

    One process attaches pods; others may read the same file to learn the addresses.
    """

    def __init__(
        self, bridge: str, address: str, subnet: str, apiserver_port: int = 0, ca_file: str = ""
    ) -> None:
        self.bridge = bridge
        self.address = address
        self.subnet = subnet
        self.apiserver_port = apiserver_port
        self.ca_file = ca_file
        self._addresses = Addresses(subnet)
        self._count = 0
        self._gate = asyncio.Semaphore(PARALLEL_IP)

    @classmethod
    def create(cls) -> Self:
        """Make the first bridge ``kvb<N>`` that is free; its creation is the lock.

        Raises NetworkError when the caller may not, or all are taken.
        """
        for index in range(BRIDGES):
            bridge = f"kvb{index}"
            made = _ip("link", "add", bridge, "type", "bridge")
            if made.returncode == 0:
                return cls._raise_bridge(bridge, index)
            if "File exists" not in made.stderr:
                raise NetworkError(
                    f"cannot make the bridge {bridge}: {made.stderr.strip()}; start under"
                    " `python -m testbed.enter -- …`, which gives root in namespaces of its own"
                )
        raise NetworkError(f"all {BRIDGES} bridges are in use: close other beds")

    @classmethod
    def _raise_bridge(cls, bridge: str, index: int) -> Self:
        address, subnet = f"10.{100 + index}.0.1", f"10.{100 + index}.0.0/16"
        _batch(f"address add {address}/16 dev {bridge}\nlink set {bridge} up\n")
        return cls(bridge, address, subnet)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read what `to_file` wrote."""
        return cls(**json.loads(path.read_text()))

    def to_file(self, path: Path) -> None:
        """Write the network as JSON, for the kubelet's ``--network``."""
        facts = {
            "bridge": self.bridge,
            "address": self.address,
            "subnet": self.subnet,
            "apiserver_port": self.apiserver_port,
            "ca_file": self.ca_file,
        }
        path.write_text(json.dumps(facts))

    async def attach(self) -> Attachment:
        """Make a namespace with ``eth0`` on the bridge, a default route through it, and ``lo``."""
        self._count += 1
        name = f"{self.bridge}p{self._count}"
        pod = Attachment(name, self._addresses.take(), name)
        try:
            async with self._gate:
                await _batch_async(self._outside(pod))
                await _batch_async(self._inside(pod), "-n", pod.namespace)
        except BaseException:
            await asyncio.shield(self.detach(pod))
            raise
        return pod

    def _outside(self, pod: Attachment) -> str:
        return (
            f"netns add {pod.namespace}\n"
            f"link add {pod.link} type veth peer name eth0 netns {pod.namespace}\n"
            f"link set {pod.link} master {self.bridge} up\n"
        )

    def _inside(self, pod: Attachment) -> str:
        return (
            f"link set lo up\naddress add {pod.address}/16 dev eth0\n"
            f"link set eth0 up\nroute add default via {self.address}\n"
        )

    async def detach(self, pod: Attachment) -> None:
        """Remove a pod's link and namespace; nothing happens for what is already gone."""
        async with self._gate:
            # The link goes by name first: a namespace lives on while a process is in it.
            lines = f"link del {pod.link}\nnetns del {pod.namespace}\n"
            await _batch_async(lines, "-force", tolerant=True)
        self._addresses.give_back(pod.address)

    def close(self) -> None:
        """Remove the bridge and every pod's namespace on it, whoever attached them."""
        names = [name for name in _namespaces() if name.startswith(f"{self.bridge}p")]
        lines = "".join(f"link del {name}\nnetns del {name}\n" for name in names)
        _batch(f"{lines}link del {self.bridge}\n", tolerant=True)


def _namespaces() -> list[str]:
    return [line.split()[0] for line in _ip("netns", "list").stdout.splitlines() if line.strip()]


def _ip(*arguments: str, feed: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["ip", *arguments], input=feed, capture_output=True, text=True, check=False, timeout=30
        )
    except FileNotFoundError:
        raise NetworkError("`ip` not found on PATH: install iproute2") from None


def _batch(lines: str, *, tolerant: bool = False) -> None:
    done = _ip("-force", "-batch", "-", feed=lines)
    _judge(done.returncode, done.stderr, lines, tolerant)


async def _batch_async(lines: str, *options: str, tolerant: bool = False) -> None:
    process = await asyncio.create_subprocess_exec(
        "ip",
        *options,
        "-batch",
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(lines.encode())
    assert process.returncode is not None
    _judge(process.returncode, errors.decode(errors="replace"), lines, tolerant)


def _judge(code: int, errors: str, lines: str, tolerant: bool) -> None:
    if code and not tolerant:
        raise NetworkError(f"`ip -batch` failed: {errors.strip()}; it was given:\n{lines}")
