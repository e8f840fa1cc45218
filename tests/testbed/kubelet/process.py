"""One run of one container: a process in its pod's network, with mounts, PIDs and a host name of its own."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from testbed.kubelet.mounts import Mount

KEPT_LINES = 5000
LAST_WORDS = 5
LONGEST_WORDS = 2048

# All that unshare(1) up to util-linux 2.38 tells of a SIGKILL: it ends with 1, for it cannot reset that
# signal's handler before it sends it to itself.
KILLED = b"unshare: sigprocmask unblock failed: Invalid argument\n"

SPACES = ("--mount", "--pid", "--uts")
"""What each container has of its own; its network is the pod's."""

CHECKOUT = Path(__file__).resolve().parents[3]

# $1 is the pod's folder of volumes, $2 a folder to be seen again behind the private /tmp, or empty,
# $3 the number of mounts, each of them source below $1, target, ro or rw, make or keep.
# The private folders hide what the mounts come from: it is held in /dev/shm until all is in place.
_SETUP = """
set -e
mount -t tmpfs tmpfs /dev/shm
mkdir /dev/shm/volumes /dev/shm/seen
mount --bind "$1" /dev/shm/volumes
seen=$2; n=$3; shift 3
if [ -n "$seen" ]; then mount --bind "$seen" /dev/shm/seen; fi
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
if [ -n "$seen" ]; then mkdir -p "$seen"; mount --bind /dev/shm/seen "$seen"; umount /dev/shm/seen; fi
while [ "$n" -gt 0 ]; do
  from=/dev/shm/volumes/$1
  if [ "$4" = make ]; then if [ -d "$from" ]; then mkdir -p "$2"; else mkdir -p "${2%/*}"; : >> "$2"; fi; fi
  mount --bind "$from" "$2"
  if [ "$3" = ro ]; then mount -o remount,bind,ro "$2"; fi
  shift 4; n=$((n-1))
done
umount /dev/shm/volumes; rmdir /dev/shm/volumes /dev/shm/seen
rm -rf /run/mount  # mount(8) notes there what it did
hostname "$HOSTNAME"
cd "$1"; shift
exec "$@"
"""


class ContainerProcess:
    """A running container. ``lines`` holds the end of what it wrote, each line with the time.

    ``written`` counts all lines, also those no longer kept; ``grown`` is notified of new ones and
    of the end.
    """

    def __init__(self) -> None:
        self.lines: deque[tuple[datetime, str]] = deque(maxlen=KEPT_LINES)
        self.written = 0
        self.ended = False
        self._killed = False
        self.environment: Mapping[str, str] = {}
        self.grown = asyncio.Condition()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(
        self,
        network: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        mounts: Sequence[Mount],
        volumes: Path,
        folder: str,
    ) -> None:
        """Start it in the network namespace at the path ``network``."""
        # The stand-ins run from the checkout, which a container's own /tmp would hide.
        seen = str(CHECKOUT) if CHECKOUT.is_relative_to("/tmp") else ""
        self.environment = dict(environment)
        words: list[str] = [str(volumes), seen, str(len(mounts))]
        for mount in mounts:
            access, make = "ro" if mount.read_only else "rw", "make" if mount.make else "keep"
            words += [mount.source, mount.target, access, make]
        self._process = await asyncio.create_subprocess_exec(
            # A killed kubelet takes its containers along: nobody else would end them.
            *("setpriv", "--pdeathsig", "KILL", "--"),
            "nsenter",
            f"--net={network}",
            "unshare",
            *(*SPACES, "--fork", "--kill-child", "--mount-proc", "sh", "-c", _SETUP),
            *("sh", *words, folder, *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,
            limit=1 << 20,
        )
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:  # longer than the buffer: what came is dropped
                continue
            if not line:
                return
            if line == KILLED:
                self._killed = True
                continue
            self.lines.append((datetime.now(UTC), line.decode(errors="replace").rstrip("\n")))
            self.written += 1
            async with self.grown:
                self.grown.notify_all()

    async def more(self, seen: int) -> list[tuple[datetime, str]]:
        """The kept lines after the first ``seen`` ones, once there are any; none at the end."""
        async with self.grown:
            await self.grown.wait_for(lambda: self.written > seen or self.ended)
        fresh = min(self.written - seen, len(self.lines))
        return list(self.lines)[len(self.lines) - fresh :]

    async def wait(self) -> int:
        """The exit code; 128 + N after signal N."""
        if self._process is None:
            return 0
        code = await self._process.wait()
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=1)
        self.ended = True
        async with self.grown:
            self.grown.notify_all()
        if self._killed:
            return 128 + signal.SIGKILL
        return 128 - code if code < 0 else code

    @property
    def last_words(self) -> str:
        """The end of what it wrote, as terminationMessagePolicy FallbackToLogsOnError takes it."""
        text = "\n".join(line for _, line in list(self.lines)[-LAST_WORDS:])
        return text[-LONGEST_WORDS:]

    @property
    def pid(self) -> int | None:
        """The container's first process as seen from here; None when it is gone."""
        if self._process is None or self._process.returncode is not None:
            return None
        try:
            children = Path(
                f"/proc/{self._process.pid}/task/{self._process.pid}/children"
            ).read_text()
        except OSError:
            return None
        return int(children.split()[0]) if children.split() else None

    def send(self, number: signal.Signals) -> None:
        """Signal the container's first process; SIGKILL ends all of it.

        One that has no first process yet is ended.
        """
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        elif self._process and self._process.returncode is None:
            self._process.kill()
