"""Leaving the host: namespaces of one's own, by system calls, and saying which one was refused.

Python 3.11 has no ``os.unshare``, and util-linux's ``unshare`` stays as a process between caller
and command that holds the caller's pipes open; so libc is called here.
"""

import ctypes
import errno
import os
import subprocess
from pathlib import Path
from typing import NoReturn

# linux/sched.h, linux/mount.h, linux/prctl.h
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
PR_SET_PDEATHSIG = 1

WAYS_OUT = """\
One of these helps:
  - run it as root (sudo), or in a virtual machine;
  - in a container: docker run --privileged …;
  - let users have namespaces, as root, whichever of these the kernel knows:
      sysctl kernel.apparmor_restrict_unprivileged_userns=0   (Ubuntu 24.04 and later)
      sysctl kernel.unprivileged_userns_clone=1               (older Debian)
      sysctl user.max_user_namespaces=15000                   (where it is 0)"""

_libc = ctypes.CDLL(None, use_errno=True)


class RefusedError(RuntimeError):
    """The kernel did not grant a namespace or a mount; the message names it and the ways out."""


def leave_host() -> None:
    """Put the caller into new network and PID namespaces; its next child is the first process.

    Not being root, or being a root without the right to, it enters a user namespace first, in
    which it is root. Raises RefusedError.
    """
    if os.geteuid() == 0:
        try:
            _unshare(CLONE_NEWNET | CLONE_NEWPID)
        except PermissionError:
            pass  # a container's root: it may still be granted a user namespace
        else:
            return
    _become_root()
    try:
        _unshare(CLONE_NEWNET | CLONE_NEWPID)
    except OSError as error:
        _refuse("network and PID namespaces (inside a user namespace)", error)


def furnish() -> None:
    """As the first process: own mounts, a ``/proc`` that fits, an empty ``/run``, ``lo`` up.

    ``/run`` is where ``ip netns`` keeps its names. Raises RefusedError.
    """
    try:
        _unshare(CLONE_NEWNS)
        _mount("none", "/", "", MS_REC | MS_PRIVATE, "")
    except OSError as error:
        _refuse("a mount namespace", error)
    for kind, target, options in (("proc", "/proc", ""), ("tmpfs", "/run", "mode=755")):
        try:
            _mount(kind, target, kind, 0, options)
        except OSError as error:
            _refuse(f"mounting {kind} on {target}", error)
    done = subprocess.run(
        ["ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RefusedError(f"refused: setting up the loopback: {done.stderr.strip()}\n{WAYS_OUT}")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this signal when the parent ends; 0 takes it back."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0))


def _become_root() -> None:
    uid, gid = os.geteuid(), os.getegid()
    try:
        _unshare(CLONE_NEWUSER)
        # Without this an unprivileged process may not write gid_map: user_namespaces(7).
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        _refuse("a user namespace", error)


def _refuse(what: str, error: OSError) -> NoReturn:
    kind = errno.errorcode.get(error.errno or 0, "?")
    raise RefusedError(f"refused: {what}: {error.strerror} ({kind})\n{WAYS_OUT}") from error


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags))


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    _check(
        _libc.mount(
            source.encode(),
            target.encode(),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            options.encode() or None,
        )
    )


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
