"""Many models under one KVEventSync, whose owners all write while the operator is away.

So what they leave is seen by itself; then the operator comes back, and what it does is seen too.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from e2e.long_tail import Fate, Kept
from e2e.long_tail_owners import SLOT_VARIABLE, Done
from e2e.manifests import EVENTS_LABEL, RECORD, Object, sync
from e2e.scene import OperatorProcess, Scene
from testbed.api import Api, rolled_out

REVISION = "deployment.kubernetes.io/revision"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
TOKEN = "kvsync.aibrix.ai/injection"
ARGUMENT, PORTS, LABEL, RECORDED, TOKENED = "argument", "ports", "label", "record", "token"
PIECES = {
    Kept.ARGS: frozenset({ARGUMENT, PORTS, LABEL, RECORDED}),
    Kept.COMMAND: frozenset({ARGUMENT, PORTS, LABEL, RECORDED}),
    Kept.SLOT: frozenset({ARGUMENT, LABEL, RECORDED}),
    Kept.ADMISSION: frozenset({TOKENED, RECORDED}),
}
"""What of ours stands on a configured Deployment."""

REPAIRED = (Fate.LOST, Fate.ALL_LOST)
SYNCS = {"kv": "Patch", "kv-admission": "Admission"}
AT_ONCE = 4
DEADLINE = 150.0
Entry = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Trial:
    """One model: what is expected of it, and how its owner makes it and writes it next.

    ``rollouts``: how often it rolls from when it is configured until it is as wanted again. ``last``:
    the manifest that stands after the owner's write. ``write_on``: a change of the flags, at the end,
    when nothing of ours is left.
    """

    name: str
    kept: Kept
    fate: Fate
    rollouts: int
    make: Callable[[], None]
    write: Callable[[], Done]
    last: Object
    write_on: Callable[[], Done]


@dataclass(frozen=True)
class Seen:
    """What came of one write: the pieces of ours that were left, its program's exit code and words."""

    left: frozenset[str]
    code: int
    words: str
    revision: int


def left_of(kept: Kept, fate: Fate) -> frozenset[str]:
    """What of ours an owner's write leaves."""
    match fate:
        case Fate.KEPT | Fate.FAILS:
            return PIECES[kept]
        case Fate.LOST:
            return PIECES[kept] - {ARGUMENT}
        case _:
            return frozenset()


class Stage:
    """The trials in a scene's namespace."""

    def __init__(
        self,
        scene: Scene,
        start_operator: Callable[..., OperatorProcess],
        trials: Sequence[Trial],
    ) -> None:
        self.scene = scene
        self.trials = trials
        self._start_operator = start_operator
        self._operator: OperatorProcess | None = None

    def _start(self) -> OperatorProcess:
        return self._start_operator("--max-rolling=0", "--admission-policy")

    def configure(self) -> None:
        """The owners make the models, and the operator configures those that it may."""
        self._at_once(lambda trial: trial.make())
        self.wait_rolled_out()
        self._operator = self._start()
        spec: Object = {"rollout": {"maxConcurrent": 100}, "gateway": {"manage": False}}
        for name, mode in SYNCS.items():
            names = [
                t.name for t in self.trials if (t.kept is Kept.ADMISSION) is (mode == "Admission")
            ]
            if names:
                self.scene.create(sync(name, self.scene.namespace, *names, **spec, mode=mode))
        self.wait_judged()

    def write(self) -> Mapping[str, Seen]:
        """The owners write, and nobody of ours is there."""
        assert self._operator is not None  # configured first
        self._operator.stop()
        revisions = {trial.name: self.revision(trial.name) for trial in self.trials}
        done = self._at_once(lambda trial: trial.write())
        self.wait_rolled_out()
        left = {t.name: pieces_of(self.scene.deployment(t.name)) for t in self.trials}
        return {
            name: Seen(left[name], told.returncode, told.stderr, revisions[name])
            for name, told in done.items()
        }

    def come_back(self) -> None:
        """The operator again, until every model is as wanted, and stays so."""
        entries = self.entries()
        repaired = {t.name for t in self.trials if t.fate in REPAIRED}
        self._operator = self._start()
        self.scene.wait(
            "repairs",
            lambda: all(
                repairs(self.entries()[name]) > repairs(entries[name]) for name in repaired
            ),
            DEADLINE,
        )
        self.wait_judged()
        self.wait_rolled_out()

    def undo(self) -> None:
        """The objects go, and with them everything of ours."""
        for name in SYNCS:
            self.scene.delete_sync(name, DEADLINE)
        self.wait_rolled_out()

    def write_on(self) -> Mapping[str, Done]:
        """Every owner writes other flags: nothing of ours is in the way any more."""
        return self._at_once(lambda trial: trial.write_on())

    def entries(self) -> Mapping[str, Entry]:
        """What the status says of the models, by name."""
        bodies = (self.scene.sync(name) or {} for name in SYNCS)
        models = (
            found for body in bodies for found in (body.get("status") or {}).get("models") or ()
        )
        return {str(found["name"]): dict(found) for found in models}

    def revision(self, name: str) -> int:
        """The number that a Deployment's controller counts its rollouts by."""
        return int(self.scene.deployment(name)["metadata"]["annotations"][REVISION])

    def wait_judged(self) -> None:
        """Every model is verified, but for those that are refused before anything is written."""
        wanted = {
            trial.name: "ArgsOwned" if trial.fate is Fate.REFUSED else "Verified"
            for trial in self.trials
        }

        def differing() -> Mapping[str, Any]:
            entries = self.entries()
            reasons = {name: entries.get(name, {}).get("reason") for name in wanted}
            return {name: reason for name, reason in reasons.items() if reason != wanted[name]}

        try:
            self.scene.wait("every model as told", lambda: not differing(), DEADLINE)
        except TimeoutError as error:
            raise TimeoutError(f"{differing()}: {error}") from None

    def wait_rolled_out(self) -> None:
        """Every Deployment is rolled out."""
        self.scene.wait(
            "all rolled out",
            lambda: all(map(rolled_out, self.scene.api.list("deployments", self.scene.namespace))),
            DEADLINE,
        )

    def _at_once(self, do: Callable[[Trial], T]) -> dict[str, T]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip([t.name for t in self.trials], pool.map(do, self.trials), strict=True))


def repairs(entry: Entry) -> int:
    """How many repairs the status counts."""
    return len((entry.get("repairs") or {}).get("times") or ())


def pieces_of(body: Object) -> frozenset[str]:
    """Which of our pieces stand on a Deployment."""
    template = body["spec"]["template"]
    container = template["spec"]["containers"][0]
    words = [*container["command"], *container.get("args", ())]
    words += [v["value"] for v in container.get("env", ()) if v["name"] == SLOT_VARIABLE]
    found = {
        ARGUMENT: any(word.startswith('--kv-events-config={"') for word in words),
        PORTS: any(port["name"] == "kv-events" for port in container.get("ports", ())),
        LABEL: EVENTS_LABEL in template["metadata"]["labels"],
        RECORDED: RECORD in body["metadata"].get("annotations", {}),
        TOKENED: TOKEN in template["metadata"].get("annotations", {}),
    }
    return frozenset(name for name, there in found.items() if there)


def unlike(api: Api, live: Object, last: Object) -> str:
    """In what a Deployment is not exactly what its owner's manifest says; empty where it is."""
    path = "/apis/apps/v1/namespaces/default/deployments?dryRun=All"
    body = {**last, "metadata": {**last["metadata"], "namespace": "default"}}
    wanted = api.request("POST", path, body)["spec"]["template"]
    found = live["spec"]["template"]
    if (found["metadata"].get("annotations") or {}).keys() == {RESTARTED}:
        found["metadata"].pop("annotations")
    annotations = live["metadata"].get("annotations") or {}
    ours = [key for key in annotations if key.startswith("kvsync.aibrix.ai/")]
    return f"{ours} {found} is not {wanted}" if ours or found != wanted else ""
