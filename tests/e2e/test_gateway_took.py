"""Whether the gateway took what it was told: its log alone says it, and each way to fail has its remedy."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.manifests import Object, model, sync
from e2e.scene import GATEWAY, GATEWAY_ACCESS, OperatorProcess, Scene
from testbed.bed import Bed

pytestmark = pytest.mark.bed

PREFIX = "AIBRIX_PREFIX_CACHE_"
SYNC = f"{PREFIX}KV_EVENT_SYNC_ENABLED"
ALL_FOUR = {
    f"{PREFIX}KV_EVENT_SYNC_ENABLED": "true",
    f"{PREFIX}USE_REMOTE_TOKENIZER": "true",
    f"{PREFIX}TOKENIZER_TYPE": "remote",
    f"{PREFIX}REMOTE_TOKENIZER_ENDPOINT": "http://m.default:8000",
    f"{PREFIX}BLOCK_SIZE": "64",
}
OLD_NAMES = {
    "AIBRIX_KV_EVENT_SYNC_ENABLED": "true",
    "AIBRIX_USE_REMOTE_TOKENIZER": "true",
    "AIBRIX_REMOTE_TOKENIZER_ENDPOINT": "http://m.default:8000",
}
StartOperator = Callable[..., OperatorProcess]
QUICK = ("--gateway-silence", "2")
RIGHT = "kvsync-operator-gateway-log"
ENGINE_LOGS = "kvsync-operator-engine-logs"
OPERATOR = "system:serviceaccount:kvsync-system:kvsync-operator"


@dataclass(frozen=True)
class Row:
    """A gateway as somebody set it up by hand, and what must be said of it: the log's own words where
    it has any, and what to do."""

    name: str
    changed: dict[str, str | None]
    words: str
    remedy: str
    status: str = "False"
    image: str = "v0.7.0"

    @property
    def variables(self) -> dict[str, str]:
        """Its environment; what is changed to None is left out."""
        merged: dict[str, str | None] = {**ALL_FOUR, **self.changed}
        return {name: value for name, value in merged.items() if value is not None}


INVALID = "Failed to initialize KV event sync: invalid KV event sync configuration: KV event sync requires "
NOTHING = "is Ready and says nothing of KV event sync"
ROWS = (
    Row("sync-false", {SYNC: "false"}, NOTHING, f"{SYNC} is 'false' and must be true"),
    Row("sync-absent", {SYNC: None}, NOTHING, f"{SYNC} is not set and must be true"),
    Row("sync-yes", {SYNC: "yes"}, NOTHING, f"{SYNC} is 'yes' and must be true"),
    Row(
        "tokenizer-off",
        {f"{PREFIX}USE_REMOTE_TOKENIZER": "false"},
        'says "KV event sync requires remote tokenizer. ',
        f"Set {PREFIX}USE_REMOTE_TOKENIZER to true",
    ),
    Row(
        "character",
        {f"{PREFIX}TOKENIZER_TYPE": "character"},
        f'says "{INVALID}{PREFIX}TOKENIZER_TYPE=remote (got "character")',
        f"Set {PREFIX}TOKENIZER_TYPE to exactly remote",
    ),
    Row(
        "no-endpoint",
        {f"{PREFIX}REMOTE_TOKENIZER_ENDPOINT": ""},
        f'says "{INVALID}{PREFIX}REMOTE_TOKENIZER_ENDPOINT to be set"',
        f"Set {PREFIX}REMOTE_TOKENIZER_ENDPOINT to the URL of a Service that tokenizes",
    ),
    Row(
        "old-names",
        {**dict.fromkeys(ALL_FOUR), **OLD_NAMES},
        NOTHING,
        "The names without PREFIX_CACHE are read by AIBrix 0.4 alone.",
    ),
    Row(
        "unknown",
        {SYNC: None},
        "is not known",
        "a release that the operator knows",
        "Unknown",
        "main",
    ),
)
WELL = Row("all-four", {}, "", "")


@pytest.fixture(scope="module")
def stage(installed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All these gateways beside each other, one working model whose gateway is not ours to manage, and
    an operator that may look at any gateway."""
    installed.create_namespace("took", GATEWAY_ACCESS)
    scene = Scene(installed, "took")
    gateways = [gateway_of(scene, row) for row in (*ROWS, WELL)]
    for body in gateways:
        scene.api.create(body)
    scene.create(model("m", "took"), sync("kv", "took", "m", gateway=named(WELL.name)))
    log = tmp_path_factory.mktemp("took") / "operator.log"
    kubeconfig = installed.kubeconfig_for_service_account("kvsync-system", "kvsync-operator")
    process = OperatorProcess(kubeconfig, log, "--gateway", "aibrix-system/*", *QUICK)
    yield scene
    scene.delete_sync("kv")
    process.stop()
    print(log.read_text()[-20_000:])
    for body in gateways:
        scene.api.delete("deployments", body["metadata"]["name"], "aibrix-system")
    scene.api.delete("namespace", "took")


def gateway_of(scene: Scene, row: Row) -> Object:
    """The installed gateway once more, by another name and with this environment."""
    body = scene.gateway()
    template = copy.deepcopy(body["spec"]["template"])
    template["metadata"] = {"labels": {"gateway": row.name}}
    container = template["spec"]["containers"][0]
    container["image"] = f"aibrix/gateway-plugins:{row.image}"
    container["env"] = [{"name": k, "value": v} for k, v in row.variables.items()]
    del container["resources"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": row.name, "namespace": GATEWAY[1]},
        "spec": {"selector": {"matchLabels": {"gateway": row.name}}, "template": template},
    }


def named(gateway: str) -> Object:
    """The part of a spec that leaves this gateway to its owner."""
    return {"manage": False, "deployment": gateway}


def point_at(stage: Scene, gateway: str) -> None:
    """Have the object stand before another gateway."""
    stage.api.patch("kveventsyncs", "kv", {"spec": {"gateway": named(gateway)}}, "took")


def test_a_gateway_with_all_four_variables_consumes_and_took_every_source(stage: Scene) -> None:
    stage.wait_ready("kv")
    found = stage.condition("kv", "GatewayConfigured")
    assert (found["status"], found["reason"]) == ("True", "NotManaged")
    stage.wait("the source is taken", lambda: taken(stage, "kv") == {"total": 1, "taken": 1})


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_gateway_that_does_not_consume_is_told_by_its_log_with_what_to_do(
    stage: Scene, row: Row
) -> None:
    stage.wait_ready("kv")
    reason = "GatewayNotInitialized" if row.status == "False" else "GatewayUnconfirmed"

    point_at(stage, row.name)
    found = wait_words(stage, row.words)
    assert (found["status"], found["reason"]) == (row.status, reason)
    assert row.remedy in found["message"]
    ready, stalled = stage.condition("kv"), stage.condition("kv", "Stalled")
    assert (ready["status"], ready["reason"]) == (row.status, reason)
    assert ready["message"] == found["message"]
    assert stalled["status"] == ("True" if row.status == "False" else "False")

    point_at(stage, WELL.name)


def test_without_the_right_to_read_logs_it_is_unknown_until_that_is_granted(stage: Scene) -> None:
    stage.wait_ready("kv")
    binding = stage.api.get("rolebindings", RIGHT, GATEWAY[1])
    everywhere = stage.api.get("clusterrolebindings", ENGINE_LOGS)
    point_at(stage, ROWS[0].name)
    stage.wait_reason("kv", "GatewayNotInitialized")
    stage.api.delete("rolebindings", RIGHT, GATEWAY[1])
    stage.api.delete("clusterrolebindings", ENGINE_LOGS)
    try:
        stage.wait("the right is gone", lambda: not may_read_logs(stage))
        point_at(stage, WELL.name)
        wanted = "grant its ServiceAccount get on pods/log in namespace aibrix-system"
        found = wait_words(stage, wanted)
        assert (found["status"], found["reason"]) == ("Unknown", "GatewayUnconfirmed")
        assert stage.condition("kv")["status"] == "Unknown"
    finally:
        metadata = {key: binding["metadata"][key] for key in ("name", "namespace")}
        stage.api.create({**binding, "metadata": metadata})
        stage.api.create({**everywhere, "metadata": {"name": ENGINE_LOGS}})
    stage.wait_ready("kv")


def test_names_that_the_managed_gateway_does_not_read_are_found_and_put_right(
    scene: Scene, start_operator: StartOperator
) -> None:
    start_operator(*QUICK)
    scene.create(model("m", scene.namespace))
    scene.create(sync("kv", scene.namespace, "m", gateway={"environment": "V0_4"}))

    found = scene.wait_reason("kv", "GatewayNotInitialized")
    assert found["status"] == "False"
    assert "spec.gateway.environment V0_4" in found["message"]
    assert "set it to Auto" in found["message"]

    scene.api.patch(
        "kveventsyncs", "kv", {"spec": {"gateway": {"environment": "Auto"}}}, scene.namespace
    )
    scene.wait_ready("kv")
    scene.wait("the source is taken", lambda: taken(scene, "kv") == {"total": 1, "taken": 1})


def wait_words(stage: Scene, words: str) -> Mapping[str, Any]:
    """The condition GatewayConfigured, as soon as its message holds these words."""

    def said() -> Mapping[str, Any] | None:
        found = stage.condition("kv", "GatewayConfigured")
        return found if words in found.get("message", "") else None

    found: Mapping[str, Any] = stage.wait(f"GatewayConfigured says {words!r}", said)
    return found


def taken(scene: Scene, name: str) -> Object | None:
    """What the status says of the sources that the gateway took."""
    status = (scene.sync(name) or {}).get("status") or {}
    found: Object | None = status.get("gateway", {}).get("sources")
    return found


def may_read_logs(stage: Scene) -> bool:
    """Whether the API server would let the operator read a log of the gateway's namespace."""
    asked = stage.api.kubectl(
        "auth", "can-i", "get", "pods/log", "-n", GATEWAY[1], f"--as={OPERATOR}", check=False
    )
    return bool(asked.stdout.strip() == "yes")
