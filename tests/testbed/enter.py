"""``python -m testbed.enter -- COMMAND``: run COMMAND in network, mount and PID namespaces.

Inside, the caller is root, ``lo`` is up, ``/run`` is empty and nothing of the host's network is
seen. As root and, by a user namespace, without. Everything started inside dies when COMMAND ends,
when the first process dies, or when this one is killed, be it by SIGKILL. With ``--keep`` COMMAND
may ask to leave it all up (:func:`keep`) until ``--stop``.
"""

import argparse
import fcntl
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from testbed import init, kept, namespaces

# What the bed calls by name, and the Debian packages they come in.
REQUIRED = {"ip": "iproute2", "nsenter": "util-linux", "setpriv": "util-linux"}

INSIDE_VARIABLE = "TESTBED_INSIDE"
KEEP_VARIABLE = "TESTBED_KEEP"  # a file: not empty when COMMAND ends means stay
LISTENER_VARIABLE = "TESTBED_LISTENER"  # a descriptor: it listens on the host's loopback
OWN_FAILURE = 125  # this program failed, not COMMAND


class EnterError(RuntimeError):
    """The testbed cannot be entered; the message says what to do."""


class Stayable(Protocol):
    """What can be kept: a bed."""

    def stay(self) -> None:
        """Do not stop at the end."""


def keep(bed: Stayable) -> None:
    """Inside ``enter --keep``: leave the bed and all else up when the command ends.

    Raises EnterError when not started with ``--keep``.
    """
    request = os.environ.get(KEEP_VARIABLE)
    if not request:
        raise EnterError(
            "only a bed started with --keep can stay: python -m testbed.enter --keep -- …"
        )
    bed.stay()
    Path(request).write_text("stay\n")


def is_inside() -> bool:
    """Whether this process was started by ``testbed.enter``."""
    return os.environ.get(INSIDE_VARIABLE) == "1"


def check_programs() -> None:
    """Raise EnterError when a program is missing, with the Debian packages that have them."""
    missing = [name for name in REQUIRED if not shutil.which(name)]
    if missing:
        packages = " ".join(sorted({REQUIRED[name] for name in missing}))
        raise EnterError(f"not on PATH: {', '.join(missing)}; on Debian: apt install {packages}")


def enter(command: Sequence[str], *, may_stay: bool = False) -> int:
    """Run the command in new namespaces; its exit code. Raises EnterError or RefusedError."""
    _widen_path()
    check_programs()
    os.environ[INSIDE_VARIABLE] = "1"
    directory = _prepare_to_stay() if may_stay else None
    go_read, go_write = os.pipe()
    report_read, report_write = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, {*init.FORWARDED, signal.SIGCHLD, signal.SIGIO})
    namespaces.leave_host()
    first = os.fork()
    if first == 0:
        os.close(go_write)
        _be_first(command, go_read, report_write)
    os.close(report_write)
    os.write(go_write, b"g")
    code, stays = _watch(first, report_read)
    if directory and stays:
        kept.note(kept.Kept.of(first, directory))
    elif directory and code == 0:
        shutil.rmtree(directory, ignore_errors=True)
    return code


def _widen_path() -> None:
    """Add where ``ip`` is on systems that keep it from users' PATH."""
    parts = os.environ.get("PATH", os.defpath).split(os.pathsep)
    parts += [part for part in ("/usr/sbin", "/sbin") if part not in parts]
    os.environ["PATH"] = os.pathsep.join(parts)


def _prepare_to_stay() -> Path:
    """The folder of a testbed that may stay; opens its door to the host."""
    found = kept.find()
    if found and found.alive:
        raise EnterError(
            f"a testbed is still up (process {found.pid});"
            " end it first: python -m testbed.enter --stop"
        )
    directory = kept.new_directory()
    os.environ[KEEP_VARIABLE] = str(directory / "keep")
    # Made before the network is left, it goes on listening on the host's loopback.
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    os.environ[LISTENER_VARIABLE] = str(listener.detach())
    os.set_inheritable(int(os.environ[LISTENER_VARIABLE]), True)
    return directory


def _be_first(command: Sequence[str], go: int, report: int) -> NoReturn:
    namespaces.die_with_parent(signal.SIGKILL)
    # A parent that died before the line above left no byte.
    if os.read(go, 1) != b"g":
        os._exit(OWN_FAILURE)
    try:
        namespaces.furnish()
    except namespaces.RefusedError as error:
        print(f"testbed.enter: {error}", file=sys.stderr, flush=True)
        os._exit(OWN_FAILURE)
    init.run(command, _is_asked_to_stay, report)


def _is_asked_to_stay() -> bool:
    request = os.environ.get(KEEP_VARIABLE)
    return bool(request) and Path(request or "").exists()


def _watch(first: int, report: int) -> tuple[int, bool]:
    """Pass signals on until the first process ends or says it stays: exit code, stays."""
    fcntl.fcntl(report, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(report, fcntl.F_GETFL)
    fcntl.fcntl(report, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    while True:
        told = _read(report)
        if told:
            return told[0], True
        pid, status = os.waitpid(first, os.WNOHANG)
        if pid:
            return init.exit_code(status), False
        info = signal.sigwaitinfo({*init.FORWARDED, signal.SIGCHLD, signal.SIGIO})
        if info.si_signo in init.FORWARDED and not init.sent_by_terminal(info):
            os.kill(first, info.si_signo)


def _read(report: int) -> bytes:
    try:
        return os.read(report, 1)
    except BlockingIOError:
        return b""


def stop() -> str:
    """End the testbed that stayed, exactly that one; what was done, in words."""
    found = kept.find()
    if found is None:
        return "no testbed was kept"
    alive = found.alive
    found.end()
    return f"testbed {found.pid} ended" if alive else f"testbed {found.pid} had ended already"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code is COMMAND's, 125 when the bed could not be entered."""
    parser = argparse.ArgumentParser(prog="python -m testbed.enter", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="COMMAND may leave it up")
    parser.add_argument("--stop", action="store_true", help="end the one that was left up")
    parser.add_argument("command", nargs="*", metavar="COMMAND")
    options = parser.parse_args(arguments)
    if not options.stop and not options.command:
        parser.error("a COMMAND is needed, after --")
    try:
        if options.stop:
            print(f"testbed.enter: {stop()}")
            return 0
        return enter(options.command, may_stay=options.keep)
    except (EnterError, namespaces.RefusedError, TimeoutError) as error:
        print(f"testbed.enter: {error}", file=sys.stderr)
        return OWN_FAILURE


if __name__ == "__main__":
    sys.exit(main())
