"""One run: the story of two models and a gateway with the faults of a case, and what became of it."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chaos.cases import PHASES, Case
from chaos.engines import Engine
from chaos.faults import Call, Injection
from chaos.faulty_proxy import FaultyProxy
from chaos.history import annotated, with_variable
from chaos.judgement import Stage as Judged
from chaos.oracle import Oracle
from chaos.stage import ROOT, Stage
from chaos.stand import LEASE, Lines, Lives
from e2e.manifests import Object, model, sync
from kvsync.core.gateway_access import GatewayGrant
from kvsync.shell.settings import Settings
from testbed.api import objects_of, rolled_out
from testbed.secrecy import number_lists
from testbed.waiting import wait_for, wait_in_loop

GATEWAY = "aibrix-gateway-plugins"
MODELS = ("a", "b")
"""Of one pod each; with an odd seed the last has two."""
PATIENCE = 150.0
"""Seconds that a phase may take: the longest of its clocks is 30 s, and may run more than once."""
JUDGED = ("change", "undo")
"""After which the oracle is asked: once while the object is there, and once when it is gone."""
TRUE_WITHIN = 10.0
"""Seconds for a status to say what has just become so."""
ENDS_WITHIN = 15.0
_LOOK = 0.15


@dataclass(slots=True)
class Report:
    """What became of a run."""

    case: Case
    broken: list[str] = field(default_factory=list)
    """The broken promises; empty where all were kept."""
    met: list[Injection] = field(default_factory=list)
    """The faults that happened: their calls came."""
    calls: list[Call] = field(default_factory=list)
    rollouts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By phase."""
    lives: int = 0
    log: list[str] = field(default_factory=list)


class Run:
    """One case on a stage. ``limits``: the rollouts of an undisturbed run, by Deployment."""

    def __init__(
        self, stage: Stage, case: Case, number: int, lines: Lines, limits: Mapping[str, int]
    ) -> None:
        self._stage = stage
        self._api = stage.api
        self.namespace = f"{stage.name}-{number}"
        self._case = case
        self._chance = random.Random(case.seed)
        self._lines = lines
        self._proxy = FaultyProxy(stage.reach.operator)
        self._seconds: dict[str, float] = {}
        judged = Judged(self.namespace, (GATEWAY, self.namespace), at_once=1, rollouts=limits)
        self._oracle = Oracle(stage.recorder, None, judged)

    async def tell(self) -> Report:
        """The whole story, to the end or to the first phase that does not end."""
        self._proxy.plan(self._case.injections)
        await self._proxy.start()
        tokenizer = await asyncio.to_thread(self._tokenizer)
        lives: Lives | None = None
        report = Report(self._case)
        try:
            await self._create()
            await asyncio.to_thread(self._oracle.begin)
            lives = self._lives()
            for phase in PHASES:
                await self._timed(phase, lives)
                if phase in JUDGED:
                    await self._judge(report, within=TRUE_WITHIN)
        except TimeoutError as late:
            report.broken.append(str(late))
            await self._judge(report)
        finally:
            if lives is not None:
                report.broken += await self._ended(lives)
                report.lives = lives.count
            await self._proxy.close()
            await asyncio.to_thread(tokenizer.close)
            report.rollouts = await asyncio.to_thread(self._oracle.rollouts)
            await self._remove()
        report.met, report.calls, report.seconds = self._proxy.met, self._proxy.calls, self._seconds
        report.log = self._lines.of.pop(self.namespace, [])
        secrets = number_lists("\n".join(report.log))
        report.broken += [f"the log holds what may be token ids: {text}" for text in secrets]
        return report

    async def _judge(self, report: Report, within: float = 0.0) -> None:
        found = await asyncio.to_thread(self._oracle.judge, within=within)
        report.broken += [each for each in found if each not in report.broken]

    def _tokenizer(self) -> Engine:
        """An engine that is nobody's model: what the gateway is told to ask."""
        body = model("tokenizer", self.namespace)
        address = self._stage.kubelet.new_address()
        self._endpoint = f"http://{address}:8000"
        return Engine(body["spec"]["template"]["spec"]["containers"][0], address)

    def _lives(self) -> Lives:
        settings = Settings(
            namespaces=(self.namespace,),
            gateways=(GatewayGrant(self.namespace, GATEWAY, (self.namespace,)),),
            operator_namespace=self.namespace,
            leader_elect=True,
            lease_duration=LEASE,
        )
        path = self._proxy.write_kubeconfig(self._stage.folder / f"{self.namespace}.kubeconfig")
        return Lives(self.namespace, settings, path)

    async def _create(self) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self._post("/api/v1/namespaces", namespace)
        account = ("serviceaccount", "default", self.namespace)
        # Without it no pod can be created.
        await asyncio.to_thread(lambda: wait_for(lambda: self._api.find(*account), PATIENCE))
        bodies = [model(name, self.namespace) for name in MODELS]
        bodies[-1]["spec"]["replicas"] = 1 + self._case.seed % 2
        for body in (*bodies, gateway(self.namespace)):
            body["spec"]["template"]["spec"]["nodeName"] = self._stage.name
            body["spec"]["template"]["spec"].pop("serviceAccountName", None)
            await self._post(self._apps, body)
        await self._until("the first rollouts", self._all_rolled_out)

    async def _timed(self, phase: str, lives: Lives) -> None:
        began = time.monotonic()
        self._proxy.names.phase = phase
        await {
            "start": self._start,
            "enable": self._enable,
            "change": self._change,
            "undo": self._undo,
        }[phase](lives)
        self._seconds[phase] = time.monotonic() - began

    async def _start(self, lives: Lives) -> None:
        lives.start()
        await self._until("start: an operator that watches", lives.watching.is_set)

    async def _enable(self, _lives: Lives) -> None:
        body = sync("kv", self.namespace, "a", "b", gateway=self._gateway_spec())
        await self._post(f"{self._syncs}", body)
        await asyncio.sleep(self._chance.uniform(0.0, 3.0))
        await self._edit("b", with_variable("LEVEL", "1"))
        await self._until("enable: Ready", self._is_ready)

    async def _change(self, _lives: Lives) -> None:
        patch = {"spec": {"events": {"topic": "t2"}}}
        await self._patch(f"{self._syncs}/kv", patch)
        await asyncio.sleep(self._chance.uniform(0.0, 2.0))
        await self._edit("a", annotated("example.com/owner", "team"))
        await self._until("change: Ready", self._is_ready)

    async def _undo(self, _lives: Lives) -> None:
        await self._stage.client.request("DELETE", f"{self._syncs}/kv")
        await asyncio.sleep(self._chance.uniform(0.0, 1.0))
        await self._edit("a", annotated("example.com/note", "mid-undo"))
        await self._until("undo: gone", self._is_gone)
        await self._until("undo: rolled out", self._all_rolled_out)

    async def _ended(self, lives: Lives) -> list[str]:
        """Stop the operator; what it left behind."""
        if not await asyncio.to_thread(lives.stop, ENDS_WITHIN):
            return [f"the operator did not end within {ENDS_WITHIN:.0f} s"]
        found = [f"tasks left: {lives.left}"] if lives.left else []
        await asyncio.sleep(_LOOK)  # the proxy hears of it through the kernel
        if self._proxy.connections:
            found.append(f"{self._proxy.connections} connections to the API server left")
        return found

    async def _remove(self) -> None:
        """Give back what costs something. The namespace stays: to remove one is a hundred calls."""
        await asyncio.to_thread(self._oracle.close)
        if self._sync():
            await self._patch(f"{self._syncs}/kv", {"metadata": {"finalizers": None}})
        for path in (self._syncs, self._apps):
            await self._stage.client.request("DELETE", f"{path}?propagationPolicy=Background")

    def _gateway_spec(self) -> Object:
        tokenizer = {"endpoint": self._endpoint}
        return {"namespace": self.namespace, "deployment": GATEWAY, "remoteTokenizer": tokenizer}

    @property
    def _apps(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments"

    @property
    def _syncs(self) -> str:
        return f"/apis/kvsync.aibrix.ai/v1alpha1/namespaces/{self.namespace}/kveventsyncs"

    async def _post(self, path: str, body: Object) -> None:
        await self._stage.client.request("POST", path, body)

    async def _patch(self, path: str, patch: Object) -> None:
        await self._stage.client.request("PATCH", path, patch, "application/merge-patch+json")

    async def _edit(self, name: str, change: Callable[[Object], None]) -> None:
        """As a user: read, change, write."""
        args = ("deployments", name, self.namespace, change)
        await asyncio.to_thread(self._oracle.edit, *args)

    def _is_ready(self) -> bool:
        body = self._sync()
        status = body.get("status") or {}
        if not body or status.get("observedGeneration") != body["metadata"]["generation"]:
            return False
        ready = [c for c in status["conditions"] if c["type"] == "Ready"]
        return bool(ready) and ready[0]["status"] == "True" and self._all_rolled_out()

    def _is_gone(self) -> bool:
        return not self._sync()

    def _all_rolled_out(self) -> bool:
        found = self._stage.recorder.last("deployments", self.namespace)
        return len(found) == len(MODELS) + 1 and all(map(rolled_out, found))

    def _sync(self) -> Object:
        return next(iter(self._stage.recorder.last("kveventsyncs", self.namespace)), {})

    async def _until(self, what: str, is_so: Callable[[], object]) -> None:
        """Raises TimeoutError with how the objects stand."""
        try:
            await wait_in_loop(is_so, PATIENCE, what=what, pause=_LOOK)
        except TimeoutError as late:
            said = (self._sync().get("status") or {}).get("conditions") or ()
            told = [f"{c['type']}={c['status']} {c['reason']}: {c['message']}" for c in said]
            raise TimeoutError("; ".join([str(late), *told])) from None


def gateway(namespace: str) -> Object:
    """The gateway as it is installed, in a namespace of its own run."""
    manifest = ROOT / "tests" / "testbed" / "manifests" / "gateway.yaml"
    body = next(body for body in objects_of(manifest) if body["kind"] == "Deployment")
    body["metadata"]["namespace"] = namespace
    return body
