"""The first process of the namespaces: starts the command, reaps, passes signals on, ends.

When it ends, for whatever reason, the kernel kills everything else in its PID namespace.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from testbed.namespaces import die_with_parent

FORWARDED = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
    }
)
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell says it
SI_KERNEL = 0x80  # asm-generic/siginfo.h


def sent_by_terminal(info: signal.struct_siginfo) -> bool:
    """Whether Ctrl-C and the like sent it: then the command, in the same group, has it already."""
    return info.si_code == SI_KERNEL


def exit_code(status: int) -> int:
    """The exit code of a wait status as a shell gives it: 128 + N for a signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def run(command: Sequence[str], wants_to_stay: Callable[[], bool], report: int) -> NoReturn:
    """Be the first process until the command ends, and end with its exit code.

    Should ``wants_to_stay`` say so then, it writes the code to ``report`` and stays instead.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {*FORWARDED, signal.SIGCHLD})
    child = os.fork()
    if child == 0:
        _execute(command)
    code = _wait_for(child)
    if not wants_to_stay():
        os._exit(code)
    _stay(report, code)


def _execute(command: Sequence[str]) -> NoReturn:
    # Python ignores SIGPIPE; what is ignored stays so over exec and surprises the command.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        print(f"testbed.enter: {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE)


def _wait_for(child: int) -> int:
    while True:
        info = signal.sigwaitinfo({*FORWARDED, signal.SIGCHLD})
        if info.si_signo == signal.SIGCHLD:
            ended = _reap()
            if child in ended:
                return exit_code(ended[child])
        elif not sent_by_terminal(info):
            os.kill(child, info.si_signo)


def _reap() -> dict[int, int]:
    """The wait statuses of all children that have ended, orphans of others among them."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def _stay(report: int, code: int) -> NoReturn:
    """Let go of the caller and its terminal, tell it the code, and reap until SIGTERM."""
    die_with_parent(0)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.write(report, bytes([code]))
    os.close(report)
    while signal.sigwaitinfo({*FORWARDED, signal.SIGCHLD}).si_signo != signal.SIGTERM:
        _reap()
    os._exit(0)
