"""``python -m image.start``: how long the image's programs take to start, and the relay's memory.

Run as in a cluster (a read-only root, another user), ten times each; on a quiet machine.
"""

import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from image.replay import Image, build_image
from testbed.engine.launch import free_ports

TIMES = 10
MIB = 1024 * 1024


def relay_start(image: Image) -> tuple[float, float]:
    """Seconds until a relay serves its health, and its MiB of memory then."""
    first, second, third, page = free_ports(4)
    words = [*image.entrypoint, "relay", f"--upstream=tcp://127.0.0.1:{first}"]
    words += ["--upstream-replay=off", f"--listen=tcp://127.0.0.1:{second}"]
    words += [f"--replay=tcp://127.0.0.1:{third}", f"--metrics-address=127.0.0.1:{page}"]
    began = time.monotonic()
    # unshare and sh become the program: its process is the one that we start.
    with subprocess.Popen(
        image.command(words), env=dict(image.environment), stderr=subprocess.DEVNULL
    ) as process:
        try:
            _await(f"http://127.0.0.1:{page}/healthz", began + 30)
            return time.monotonic() - began, _resident(process.pid)
        finally:
            process.terminate()


def _await(address: str, deadline: float) -> None:
    while True:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)


def _resident(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096 / MIB


def command_time(image: Image, *arguments: str) -> float:
    """Seconds that a command takes from its start to its end."""
    began = time.monotonic()
    image.run(*arguments).check_returncode()
    return time.monotonic() - began


def main() -> None:
    """Build, start and print the medians."""
    with tempfile.TemporaryDirectory() as folder:
        image = build_image(Path(folder))
        files = [path for path in image.root.rglob("*") if path.is_file() and not path.is_symlink()]
        print(
            f"beside the base: {sum(path.stat().st_size for path in files) / MIB:.0f} MiB of files"
        )
        starts = [relay_start(image) for _ in range(TIMES)]
        seconds = statistics.median(each for each, _ in starts)
        memory = statistics.median(each for _, each in starts)
        print(f"kvsync relay serves after {seconds:.2f} s, with {memory:.0f} MiB")
        for words in (("--version",), ("run", "--help")):
            took = statistics.median(command_time(image, *words) for _ in range(TIMES))
            print(f"kvsync {' '.join(words)} takes {took:.2f} s")


if __name__ == "__main__":
    main()
