"""The owners' programs, each writing the manifest of one model."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from e2e.long_tail import Kept, Program, Writes
from e2e.manifests import Object, model
from testbed.api import Api
from testbed.helm.program import Helm, write_chart

Done = subprocess.CompletedProcess[str]

SERVE = ["vllm", "serve", "tiny"]
FLAGS = ["--port=8000", "--max-model-len=512"]
NEXT_FLAGS = ["--port=8000", "--max-model-len=256"]
SLOT_VARIABLE = "KVSYNC_KV_EVENTS"
SLOT_WORD = f"$({SLOT_VARIABLE})"
NEXT_IMAGE = "vllm/vllm-openai:v0.16.1"


def manifest(name: str, namespace: str, kept: Kept, writes: Writes = Writes.SAME) -> Object:
    """A model as its owner writes it: at first (``SAME``), or next."""
    if kept is Kept.COMMAND:
        body = model(name, namespace, command=[*SERVE, *FLAGS])
    else:
        body = model(name, namespace, command=SERVE, args=list(FLAGS))
    container = body["spec"]["template"]["spec"]["containers"][0]
    if writes is Writes.IMAGE:
        container["image"] = NEXT_IMAGE
    if writes is Writes.ARGS:
        container["args"] = ["--block-size=32"] if kept is Kept.COMMAND else list(NEXT_FLAGS)
    if kept is Kept.SLOT:
        container["args"].append(SLOT_WORD)
        container["env"] = [{"name": SLOT_VARIABLE, "value": "--kv-events-config={}"}]
    return body


class Kubectl:
    """kubectl with a verb, for manifests."""

    def __init__(self, api: Api, words: str) -> None:
        self.api = api
        self.words = words.split()

    def make(self, body: Object) -> Done:
        """Bring the model into the cluster."""
        return self.write(body)

    def write(self, body: Object) -> Done:
        """Write it as the owner has it now."""
        return self.api.kubectl(*self.words, "-f", "-", stdin=json.dumps(body), check=False)


class HelmRelease:
    """Helm of one version, a release a model."""

    def __init__(self, api: Api, folder: Path, major: int, options: Sequence[str]) -> None:
        self.helm = Helm(api, folder / f"home-{major}", major)
        self.folder = folder
        self.options = options

    def make(self, body: Object) -> Done:
        """Install it."""
        return self._run("install", body)

    def write(self, body: Object) -> Done:
        """Upgrade it."""
        return self._run("upgrade", body)

    def back(self, body: Object) -> Done:
        """Roll it back to the first revision."""
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        return self.helm.run("rollback", name, "1", "-n", namespace, *self.options, check=False)

    def _run(self, verb: str, body: Object) -> Done:
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        chart = write_chart(self.folder / name, json.dumps(body))
        return self.helm.run(verb, name, chart, "-n", namespace, *self.options, check=False)


Owner = Kubectl | HelmRelease


def owner(api: Api, folder: Path, program: Program) -> Owner:
    """The program at work; ``folder`` is for Helm's files."""
    if not program.rolls_back:
        return Kubectl(api, program)
    _, major, *options = program.split()
    return HelmRelease(api, folder, int(major), options)
