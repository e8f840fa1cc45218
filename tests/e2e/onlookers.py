"""Who looks at a scene: the commands of a reader, the engines they look at, and the road to them."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.manifests import Object
from e2e.scene import KVSYNC, Scene
from testbed.bed import Bed

DEADLINE = 60.0
READER = "kvsync-reader"
_LISTS = {
    "kvsync.aibrix.ai": ["kveventsyncs"],
    "apps": ["deployments"],
    "": ["pods"],
}


def kvsync(kubeconfig: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command with this access, to its end."""
    return subprocess.run(
        [KVSYNC, *words, "--kubeconfig", str(kubeconfig)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def verified(kubeconfig: Path, *words: str) -> tuple[int, Any]:
    """The exit code of verify, and its JSON."""
    done = kvsync(kubeconfig, "verify", *words, "-o", "json")
    return done.returncode, json.loads(done.stdout)


def reader_of(bed: Bed, namespace: str) -> Path:
    """A person who may list what verify lists in one namespace, and nothing else."""
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": ["list"]}
        for group, resources in _LISTS.items()
    ]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": READER}}
    bed.api.create({**role, "kind": "Role", "rules": rules}, namespace)
    group = "rbac.authorization.k8s.io"
    binding: Object = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": group, "kind": "Role", "name": READER},
        "subjects": [{"kind": "User", "name": READER, "apiGroup": group}],
    }
    bed.api.create(binding, namespace)
    return bed.kubeconfig_for(READER)


def pods_of(scene: Scene) -> list[Object]:
    """The living pods of the scene's models."""
    pods = scene.api.list("pods", scene.namespace)
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def prompt(pod: Object, text: str) -> None:
    """Send one completion to a pod's engine."""
    body = json.dumps({"model": "m", "prompt": text, "max_tokens": 1}).encode()
    request = urllib.request.Request(
        f"http://{pod['status']['podIP']}:8000/v1/completions",
        body,
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=5).read()


def engines(name: str) -> list[int]:
    """The processes of engines that serve a model of this name; all of the bed are seen from here."""
    word = f"--served-model-name={name}".encode()
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            try:
                words = (each / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if word in words:
                found.append(int(each.name))
    return found


@contextmanager
def frozen(name: str) -> Iterator[None]:
    """The engines of a model, stopped in the middle of whatever they do."""
    processes = engines(name)
    assert processes, f"no engine serves {name}"
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


@contextmanager
def no_road_to(pods: list[Object]) -> Iterator[None]:
    """Packets to these pods go nowhere, as from a laptop."""
    routes = [f"{pod['status']['podIP']}/32" for pod in pods]
    for route in routes:
        subprocess.run(["ip", "route", "add", route, "dev", "lo"], check=True)
    try:
        yield
    finally:
        for route in routes:
            subprocess.run(["ip", "route", "del", route, "dev", "lo"], check=True)
