"""`make demo`: the main job on a real API server, from a plain vLLM Deployment to its exact undo.

With ``--engine vllm`` (`make demo ENGINE=vllm`) the model's pod runs a real vLLM, else a stand-in.
Exit code 0 only if every line of the list at the end was observed.
"""

import argparse
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from testbed.api import Api, rolled_out
from testbed.bed import Bed
from testbed.enter import keep
from testbed.real_engine import image as real_engine
from testbed.real_engine.install import VERSION, InstallError, find_engine
from testbed.real_engine.install import Engine as RealEngine
from testbed.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = ("aibrix-gateway-plugins", "aibrix-system")
MODEL = "my-model"
NAMESPACE = "default"
ACCESS = "kvsync.aibrix.ai/gateway-access=true"
PROMPTS = 6

Object = dict[str, Any]


@dataclass(frozen=True)
class Engine:
    """What serves the model, and how patient one has to be with it.

    ``words`` of a prompt fill several blocks and stay below the model's longest.
    """

    says: str
    command: Sequence[str]
    replicas: int
    words: int
    patience: float
    real: RealEngine | None = None


STAND_IN = Engine(
    "a stand-in that follows vLLM 0.16.0 on the wire (ENGINE=vllm runs a real one)",
    ("vllm", "serve", "/models/tiny", f"--served-model-name={MODEL}", "--port=8000"),
    replicas=2,
    words=150,
    patience=60.0,
)


def real_vllm() -> Engine:
    """A vLLM without a GPU, which takes some 20 s to start. Raises InstallError."""
    real = find_engine()
    return Engine(
        f"a real vLLM {VERSION} without a GPU, from {real.programs}",
        real_engine.serve_command(real, MODEL),
        # Each takes two cores while it starts, and a rollout starts one beside the other.
        replicas=1,
        words=60,
        patience=2 * real_engine.HEALTHY_WITHIN,
        real=real,
    )


def model_manifest(engine: Engine) -> str:
    """A plain vLLM Deployment, as a user has it before any of this."""
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {MODEL}
  labels: {{model.aibrix.ai/name: {MODEL}}}
spec:
  replicas: {engine.replicas}
  selector: {{matchLabels: {{model.aibrix.ai/name: {MODEL}}}}}
  template:
    metadata:
      labels: {{model.aibrix.ai/name: {MODEL}}}
    spec:
      containers:
        - name: vllm
          image: {real_engine.IMAGE}
          command: {json.dumps(list(engine.command))}
          readinessProbe:
            httpGet: {{path: /health, port: 8000}}
            periodSeconds: 1
          resources:
            limits: {{nvidia.com/gpu: "1"}}
"""


SYNC_MANIFEST = f"""
apiVersion: kvsync.aibrix.ai/v1alpha1
kind: KVEventSync
metadata:
  name: {MODEL}
spec:
  models:
    names: [{MODEL}]
"""


class Story:
    """Tells what happens, and keeps the list of what was observed."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._checks: list[tuple[str, bool]] = []

    def say(self, text: str) -> None:
        """One line with the time since the start."""
        print(f"{time.monotonic() - self._start:6.1f}s  {text}", flush=True)

    def show(self, text: str) -> None:
        """What a command printed."""
        print("".join(f"           {line}\n" for line in text.rstrip().splitlines()), flush=True)

    def check(self, what: str, observed: bool) -> None:
        """Note whether something was observed."""
        self._checks.append((what, observed))

    def verdict(self) -> int:
        """Print the list; the exit code."""
        print()
        for what, observed in self._checks:
            print(f"  {'✓' if observed else '✗'} {what}")
        missing = sum(not observed for _, observed in self._checks)
        print(f"\n{'All' if not missing else 'NOT all'} of it was observed, in "
              f"{time.monotonic() - self._start:.0f} s.")  # fmt: skip
        return 1 if missing else 0


class Demo:
    """The acts of the story."""

    def __init__(self, bed: Bed, engine: Engine, story: Story) -> None:
        self._api: Api = bed.api
        self._engine = engine
        self._story = story
        if engine.real:
            real_engine.bring(bed, engine.real)

    def install(self) -> None:
        """The gateway, as AIBrix installs it; CRD and operator, by the files a user would apply."""
        self._story.say("applying the AIBrix gateway (v0.7.0, KV sync off)")
        self._api.create_all(ROOT / "tests" / "testbed" / "manifests" / "gateway.yaml")
        self._story.say("installing the CRD and the operator (docs/samples/install/operator.yaml)")
        self._api.apply(ROOT / "crds" / "kveventsync.yaml")
        self._wait("CRD established", self._crd_served)
        self._api.create_all(ROOT / "docs" / "samples" / "install" / "operator.yaml")

    def _crd_served(self) -> bool:
        crd = self._api.get("customresourcedefinitions", "kveventsyncs.kvsync.aibrix.ai")
        return any(
            c["type"] == "Established" and c["status"] == "True"
            for c in crd.get("status", {}).get("conditions") or ()
        )

    def deploy(self) -> tuple[Object, Object]:
        """A plain model; its template and the gateway's as they are."""
        self._story.say(f"applying a plain vLLM model, {self._pods_text}")
        self._api.create_all(model_manifest(self._engine), NAMESPACE)
        for name, namespace in (GATEWAY, (MODEL, NAMESPACE), ("kvsync-operator", "kvsync-system")):
            self._wait(f"{name} available", partial(self._available, name, namespace))
        self._story.say("gateway, model and operator are available")
        return self._template(MODEL, NAMESPACE), self._template(*GATEWAY)

    def enable(self) -> None:
        """The label that opens the gateway, the one apply, and the status as it moves."""
        self._story.say(f"kubectl label namespace {NAMESPACE} {ACCESS}: it may change the gateway")
        self._api.kubectl("label", "namespace", NAMESPACE, ACCESS)
        self._story.say(f"kubectl apply: one KVEventSync for {MODEL}")
        self._api.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=SYNC_MANIFEST)
        told = ""

        def ready() -> bool:
            nonlocal told
            status = self._sync().get("status", {})
            line = _status_line(status)
            if line != told:
                self._story.say(line)
                told = line
            return _condition(status, "Ready").get("status") == "True"

        self._wait("Ready=True", ready)
        status = self._sync()["status"]
        wanted = self._engine.replicas
        self._story.check(
            f"{wanted} of {wanted} sources verified",
            status["summary"]["sources"] == f"{wanted}/{wanted}",
        )
        template = self._template(MODEL, NAMESPACE)
        self._story.say("what was written on the model:")
        self._story.show("\n".join(template["spec"]["containers"][0]["args"]))

    def consume(self) -> None:
        """Prompts to every pod: they publish, and the gateway decodes."""
        wanted = self._engine.replicas
        self._story.say(f"sending {PROMPTS} prompts to each of {self._pods_text}")
        for pod in self._pods():
            for number in range(PROMPTS):
                start = f"{pod['metadata']['name']} {number} "
                _complete(pod["status"]["podIP"], start, self._engine)
        self._wait(f"{wanted} sources publishing", lambda: self._publishing() == wanted)
        self._story.check(f"{wanted} of {wanted} sources publishing", self._publishing() == wanted)
        state = self._wait("the gateway decodes events of every pod", self._consuming)
        self._story.say("the gateway consumes:")
        lines = (
            f"{pod}: {one['batches']} batches decoded"
            for pod, one in state["subscriptions"].items()
        )
        self._story.show("\n".join(lines))
        self._story.check(f"the gateway decodes events of {self._pods_text}", True)
        listing = self._api.kubectl("get", "kves", "-A").stdout
        self._story.say("kubectl get kves -A")
        self._story.show(listing)
        ready = _condition(self._sync()["status"], "Ready")["status"] == "True"
        self._story.check("kubectl get kves says Ready=True", ready and "True" in listing)

    def undo(self, model: Object, gateway: Object) -> None:
        """Deleting the object gives everything back."""
        self._story.say(f"kubectl delete kves {MODEL}")
        self._api.kubectl("delete", "kves", MODEL, "-n", NAMESPACE, "--wait=false")
        self._wait("the object is gone", lambda: not self._api.find("kves", MODEL, NAMESPACE))
        same = self._template(MODEL, NAMESPACE) == model
        self._story.check("the model's pod template is identical to the original", same)
        same = self._template(*GATEWAY) == gateway
        self._story.check("the gateway's pod template is identical to the original", same)
        ours = [
            key
            for name in (GATEWAY, (MODEL, NAMESPACE))
            for key in self._api.get("deployments", *name)["metadata"].get("annotations", {})
            if key.startswith("kvsync.aibrix.ai/")
        ]
        self._story.check("no annotation of ours is left on either", not ours)
        self._wait("the model runs again", lambda: self._available(MODEL, NAMESPACE))
        self._story.say("undone; the model runs as before")

    def _wait(self, what: str, is_so: Callable[[], Any]) -> Any:
        return wait_for(is_so, self._engine.patience, what=what, pause=0.1)

    @property
    def _pods_text(self) -> str:
        return "1 pod" if self._engine.replicas == 1 else f"{self._engine.replicas} pods"

    def _available(self, name: str, namespace: str) -> bool:
        return rolled_out(self._api.get("deployments", name, namespace))

    def _template(self, name: str, namespace: str) -> Object:
        template: Object = self._api.get("deployments", name, namespace)["spec"]["template"]
        return template

    def _sync(self) -> Object:
        return self._api.get("kves", MODEL, NAMESPACE)

    def _publishing(self) -> int:
        return int(self._sync()["status"]["sources"]["publishing"])

    def _pods(self) -> list[Object]:
        pods = self._api.list("pods", NAMESPACE, labels=f"model.aibrix.ai/name={MODEL}")
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    def _consuming(self) -> Object | None:
        pods = self._api.list("pods", GATEWAY[1], labels="app=gateway-plugins")
        alive = [p for p in pods if not p["metadata"].get("deletionTimestamp")]
        if len(alive) != 1:
            return None
        state = _get_json(f"http://{alive[0]['status']['podIP']}:10080/debug/state")
        decoded = [s for s in state["subscriptions"].values() if s["batches"] > 0]
        return state if len(decoded) == len(self._pods()) else None


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), {})


def _status_line(status: Mapping[str, Any]) -> str:
    ready, summary = _condition(status, "Ready"), status.get("summary", {})
    if not ready:
        return "  (no status yet)"
    counts = f"models {summary.get('models', '-')}  sources {summary.get('sources', '-')}"
    return f"  Ready={ready['status']:5} {counts}  {ready['reason']}: {ready['message'][:110]}"


def _complete(address: str, start: str, engine: Engine) -> None:
    prompt = start + " ".join(f"word{number}" for number in range(engine.words))
    body = json.dumps({"model": MODEL, "prompt": prompt, "max_tokens": 1}).encode()
    request = urllib.request.Request(
        f"http://{address}:8000/v1/completions", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=engine.patience) as answer:
        answer.read()


def _get_json(url: str) -> Object:
    with urllib.request.urlopen(url, timeout=5) as answer:
        body: Object = json.load(answer)
    return body


def main() -> int:
    """Run the story."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything up at the end")
    parser.add_argument("--engine", choices=["stand-in", "vllm"], default="stand-in")
    options = parser.parse_args()
    try:
        engine = real_vllm() if options.engine == "vllm" else STAND_IN
    except InstallError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    story = Story()
    story.say(f"engine: {engine.says}")
    story.say("starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet")
    with Bed(nodes=2, gpus=4) as bed:
        story.say(f"control plane is up, {len(bed.api.list('nodes'))} nodes are Ready")
        demo = Demo(bed, engine, story)
        demo.install()
        model, gateway = demo.deploy()
        demo.enable()
        demo.consume()
        if options.keep:
            code = story.verdict()
            keep(bed)
            return code
        demo.undo(model, gateway)
        return story.verdict()


if __name__ == "__main__":
    sys.exit(main())
