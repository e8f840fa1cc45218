"""What a process that reads what strangers send may not do.

Source: Linux, ``Documentation/userspace-api/landlock.rst``, ``prctl(2)``, ``setrlimit(2)``. What the
kernel does not know is left out: it is the second wall, not the first.
"""

from __future__ import annotations

import ctypes
import resource
import signal
import struct
import sys

_SET_PDEATHSIG, _SET_NO_NEW_PRIVS = 1, 38
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_ASK_VERSION = 1
_FILES = (1 << 13) - 1
"""All rights of Landlock's first version: nothing may be opened, made, removed or executed."""
_BIND_TCP = 1
_SCOPES = 3
"""No abstract UNIX sockets and no signals to processes outside."""


def limit_memory(octets: int) -> None:
    """End this process's growth at so many bytes of data (anonymous memory; RLIMIT_DATA)."""
    resource.setrlimit(resource.RLIMIT_DATA, (octets, octets))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def raise_open_files() -> int:
    """Allow as many open files as may be; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def die_with_parent() -> None:
    """End when the operator does, however that ends."""
    if sys.platform == "linux":
        _libc().prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def shut_in() -> int:
    """Give up files, programs, listening and signals for good.

    Returns Landlock's version; 0 where the kernel or a seccomp profile does not let us have it.
    """
    if sys.platform != "linux":
        return 0
    libc = _libc()
    libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    version = int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION))
    if version < 1:
        return 0
    rules = _ruleset(version)
    ruleset = int(libc.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0))
    if ruleset < 0 or libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
        return 0
    return version


def _ruleset(version: int) -> bytes:
    """``struct landlock_ruleset_attr``, as long as the version knows it."""
    fields = [_FILES]
    if version >= 4:
        fields.append(_BIND_TCP)
    if version >= 6:
        fields.append(_SCOPES)
    return struct.pack(f"={len(fields)}Q", *fields)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
