"""Where a container's volumes go in its own view of the file system. Pure except for `exists`.

A container sees this machine's files, with /tmp, /run and /dev/shm private to it. A volume can be
mounted there (the folder is made) or over a folder that exists anyway.
"""

import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from testbed.kubelet.fields import ConfigError, Object

PRIVATE = ("/tmp", "/run", "/dev/shm")


@dataclass(frozen=True)
class Mount:
    """One volume in one container: ``source`` is relative to the pod's folder of volumes."""

    source: str
    target: str
    read_only: bool = False
    make: bool = True


def plan_mounts(
    container: Object, volumes: Iterable[str], exists: Callable[[str], bool]
) -> list[Mount]:
    """Return the mounts of ``container``, outer ones first.

    ``exists`` says whether a path is a folder or file of this machine. Raises ConfigError for a
    volume the pod does not have and a path that cannot be made.
    """
    known = set(volumes)
    mounts: list[Mount] = []
    for entry in sorted(container.get("volumeMounts", ()), key=lambda e: str(e["mountPath"])):
        mounts.append(_mount(entry, known, mounts, exists))
    return mounts


def _mount(
    entry: Object, known: set[str], outer: Sequence[Mount], exists: Callable[[str], bool]
) -> Mount:
    name, target = entry["name"], real_path(entry["mountPath"])
    if name not in known:
        raise ConfigError(f"volumeMount {name!r}: the pod has no such volume")
    if "subPathExpr" in entry:
        raise ConfigError(f"volumeMount {name!r}: subPathExpr is not supported; use subPath")
    make = _below(target, (*PRIVATE, *(mount.target for mount in outer)))
    if not make and not exists(target):
        raise ConfigError(
            f"volumeMount {name!r}: mountPath {entry['mountPath']} does not exist on this machine"
            f" and cannot be made: use a path below {' or '.join(PRIVATE)}, or a folder that exists"
        )
    source = posixpath.normpath(posixpath.join(name, entry.get("subPath", "")))
    return Mount(source, target, bool(entry.get("readOnly")), make)


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def real_path(path: str) -> str:
    """Return ``path`` without dots, and with /var/run as what it is a link to."""
    clean = posixpath.normpath(path)
    if _below(clean, ("/var/run",)):
        return "/run" + clean.removeprefix("/var/run")
    return clean
