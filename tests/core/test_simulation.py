"""The promises of the whole, held through a life of a small cluster in any order of events."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from core.cluster import FATES, GATEWAY, HEALTHY, Cluster
from core.objects import EVENTS_LABEL, Json, spec_of
from core.scenes import applied, flag_is_on
from core.strategies import INDEPENDENT_EDITS
from kvsync.core.undo import GATEWAY_PATIENCE
from kvsync.model.decision import Action, Decision, Kind
from kvsync.model.injection import INJECTION_ANNOTATION
from kvsync.model.observed import KVEventSync
from kvsync.model.workload import Deployment

EVENTS = (
    *("round", "round", "pass", "probe", "progress"),
    *("wait", "crash", "race", "edit", "unlabel", "heal", "stop relay"),
)


def add_variable(body: Json) -> None:
    plugin = body["spec"]["template"]["spec"]["containers"][0]
    plugin.setdefault("env", []).append({"name": "OF_THE_USER", "value": "1"})


def unlabel(body: Json) -> None:
    metadata = body["spec"]["template"]["metadata"]
    metadata["labels"].pop(EVENTS_LABEL, None)
    (metadata.get("annotations") or {}).pop(INJECTION_ANNOTATION, None)
    if not metadata.get("annotations"):  # as the API server leaves empty maps out
        metadata.pop("annotations", None)


def stop_relay(body: Json) -> None:
    body["spec"]["template"]["spec"].pop("initContainers", None)


def scale_to_zero(body: Json) -> None:
    body["spec"]["replicas"] = 0


EDITS = (
    *(INDEPENDENT_EDITS[name] for name in ("_add_env", "_label", "_annotate", "_argue_behind")),
    scale_to_zero,
)


class Life:
    """A cluster, driven by named events, with the promises asked at every write."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.edited: set[tuple[str, str]] = set()
        self.deleted_at = 0.0
        self.look_again: float | None = None

    def run(self, event: str, name: str, choice: int) -> None:
        cluster = self.cluster
        match event:
            case "round":
                self.round()
            case "pass":
                self.reconcile()
            case "probe":
                cluster.probe()
            case "progress":
                cluster.progress(name)
            case "wait":
                cluster.now += 30
            case "crash":  # between two writes
                self.reconcile(writes=choice)
                cluster.forget()
            case "race":  # a user is faster than what was decided
                self.reconcile(meanwhile=lambda: self.edit(name, choice))
            case _ if name != GATEWAY or event == "edit":
                self.happen(event, name, choice)

    def happen(self, event: str, name: str, choice: int) -> None:
        """What befalls one object."""
        match event:
            case "edit":
                self.edit(name, choice)
            case "stop relay":  # the record says that there is one
                self.cluster.changing.discard(name)
                self.cluster.disturb(name, stop_relay)
            case "unlabel":  # the rollout is then the user's own
                self.cluster.changing.discard(name)
                self.cluster.disturb(name, unlabel)
            case "heal":
                self.cluster.fates[name] = HEALTHY

    def edit(self, name: str, choice: int) -> None:
        edit = add_variable if name == GATEWAY else EDITS[choice]
        if (name, edit.__name__) not in self.edited:
            self.edited.add((name, edit.__name__))
            self.cluster.edit(name, edit)

    def delete(self) -> None:
        self.deleted_at = self.cluster.now
        self.cluster.delete()

    def reconcile(self, writes: int = 99, meanwhile: Callable[[], None] | None = None) -> bool:
        """One pass as the shell makes it. Returns whether it wrote anything."""
        cluster = self.cluster
        if cluster.sync is None:
            self.look_again = None
            return False
        decision = cluster.decide()
        self.look_again = None if decision.actions else decision.look_again
        self.check_gateway(decision)
        self.check_way_out(decision)
        if meanwhile is not None:
            meanwhile()
        if any(action.counted for action in decision.actions[:writes]):
            cluster.report(decision)
        for action in decision.actions[:writes]:
            if not self.write(action):
                return True  # the rest is left to the next pass
        if decision.actions:
            return True
        return cluster.report(decision)

    def check_gateway(self, decision: Decision) -> None:
        """The flag is turned on only when every source of every model was heard."""
        cluster = self.cluster
        for action in decision.actions:
            if action.name != GATEWAY or cluster.flag:
                continue
            if flag_is_on(applied(cluster.objects[GATEWAY], action)):
                assert not cluster.deleting
                if not marked(cluster.objects[GATEWAY]):
                    assert all(map(cluster.is_proven, cluster.fates)), action.note

    def check_way_out(self, decision: Decision) -> None:
        """The flag goes first, then the gateway restarts, then the models follow, a few at a time."""
        cluster = self.cluster
        models = {a.name for a in decision.actions if a.restarts} - {GATEWAY}
        if not cluster.deleting or not models:
            return
        elapsed, rollout = cluster.now - self.deleted_at, cluster.spec.rollout
        assert not cluster.flag
        assert Deployment(cluster.objects[GATEWAY]).rollout.complete or elapsed >= GATEWAY_PATIENCE
        # Past the deadline all go at once: a namespace must not be held for ever.
        allowed = max(rollout.max_concurrent, len(cluster.rolling))
        assert elapsed > rollout.progress_deadline or len(cluster.rolling | models) <= allowed

    def write(self, action: Action) -> bool:
        """One write: never without the finalizer, never one model too many at a time."""
        cluster = self.cluster
        assert cluster.sync is not None
        assert action.kind is Kind.SYNC or KVEventSync(cluster.sync).finalizers
        applied = cluster.apply(action)
        if not cluster.deleting:
            assert len(cluster.changing) <= cluster.spec.rollout.max_concurrent, cluster.changing
        return applied

    def round(self) -> bool:
        """Everyone does one step. Returns whether anything happened."""
        acted = self.reconcile()
        acted |= self.cluster.probe()
        for name in self.cluster.objects:
            acted |= self.cluster.progress(name)
        return acted

    def settle(self) -> None:
        """Everything goes its way until nothing changes any more."""
        for _ in range(200):
            acted = self.round()
            if not acted and self.look_again is None:
                return
            # Time passes only as far as the operator asked to be woken.
            self.cluster.now += 1 if acted else self.look_again or 0
        raise AssertionError("it never comes to rest")


def marked(body: Json) -> bool:
    return bool(Deployment(body).annotations)


def assert_at_rest(life: Life) -> None:
    """No writes, now or much later, or by an operator that has just started."""
    life.cluster.now += 10_000
    assert life.cluster.decide().actions == ()
    life.cluster.forget()
    assert life.cluster.decide().actions == ()


NAMES = st.sampled_from(["a", "b", "c", GATEWAY])
STEPS = st.lists(
    st.tuples(st.sampled_from(EVENTS), NAMES, st.integers(0, len(EDITS) - 1)), max_size=25
)
FATES_OF_MODELS = st.lists(st.sampled_from((HEALTHY, HEALTHY, *FATES)), min_size=3, max_size=3)


@settings(max_examples=60, derandomize=True)
@given(
    fates=FATES_OF_MODELS,
    at_once=st.integers(1, 2),
    relay=st.sampled_from(["Off", "Always"]),
    mode=st.sampled_from(["Patch", "Admission"]),
    before=STEPS,
    settles=st.booleans(),
    after=STEPS,
)
def test_the_promises_hold_in_any_order_of_events(
    fates: list[str],
    at_once: int,
    relay: str,
    mode: str,
    before: list[tuple[str, str, int]],
    settles: bool,
    after: list[tuple[str, str, int]],
) -> None:
    rollout = {"maxConcurrent": at_once, "progressDeadline": "5m"}
    spec = spec_of(rollout=rollout, events={"relay": {"mode": relay}}, mode=mode)
    life = Life(Cluster(spec, fates))
    for step in before:
        life.run(*step)
    if settles:
        life.settle()
        assert_at_rest(life)
    life.delete()
    for step in after:
        life.run(*step)
    life.settle()
    assert life.cluster.sync is None
    assert life.cluster.left_over() == {}
