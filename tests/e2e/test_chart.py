"""The chart on a real API server: it installs a working operator, and its policy says what that one says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chart.matrix import EVERYTHING, merged
from e2e.manifests import Object, model, sync
from e2e.releases import CHART, DEFAULT, Release, refusal, release_in
from e2e.scene import GATEWAY_ACCESS, Scene
from e2e.tenants import label, tenant_of
from kvsync.core.gateway_access import Labelled
from testbed.api import Api, ApiError
from testbed.helm.program import Helm

pytestmark = pytest.mark.bed


@pytest.fixture
def release(scene: Scene, tmp_path: Path) -> Iterator[Release]:
    """The chart, not installed yet."""
    with release_in(scene, tmp_path) as made:
        yield made


def test_the_chart_runs_an_operator_and_warns_or_refuses_in_its_words(
    scene: Scene, release: Release
) -> None:
    namespace = scene.namespace
    tenant = tenant_of(scene.bed, namespace)
    label(scene, granted=False)
    gateway = scene.gateway()["spec"]["template"]
    release.install("Warn")

    tenant.create(model("m", namespace), namespace)
    applied = tenant.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(sync("kv", namespace, "m")))
    warned(applied.stderr, release, namespace)
    said = scene.wait_reason("kv", "GatewayNotPermitted", "GatewayConfigured")
    assert said["message"] in applied.stderr, "the policy says what the operator says"
    scene.wait("verified", lambda: scene.condition("kv", "EventsFlowing")["status"] == "True")

    release.install("Deny")
    scene.bed.create_namespace(f"{namespace}-let-in", GATEWAY_ACCESS)
    try:
        agrees(scene, release)
    finally:
        scene.api.delete("namespace", f"{namespace}-let-in")
    with pytest.raises(ApiError, match=r"denied request: Objects of namespace"):
        change(tenant, namespace, {"paused": True})
    tenant.patch("kveventsyncs", "kv", {"metadata": {"labels": {"a": "b"}}}, namespace)
    assert refusal(tenant, namespace, DEFAULT, manage=False) == ""

    label(scene, granted=True)
    scene.wait_ready("kv")
    change(tenant, namespace, {"probe": {"interval": "5s"}})
    label(scene, granted=False)
    scene.wait("given back", lambda: scene.gateway()["spec"]["template"] == gateway)
    # Its finalizer is taken off by an update that the policy must let through.
    tenant.delete("kveventsyncs", "kv", namespace)
    scene.wait("the object gone", lambda: scene.sync("kv") is None)

    release.uninstall()
    kept = scene.api.get("customresourcedefinitions", "kveventsyncs.kvsync.aibrix.ai")
    assert kept["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "deletionTimestamp" not in kept["metadata"]
    assert refusal(tenant, namespace, DEFAULT) == ""


def warned(stderr: str, release: Release, namespace: str) -> None:
    """Assert that a command was told beforehand what the operator will say."""
    assert stderr.startswith("Warning: Validation failed for ValidatingAdmissionPolicy"), stderr
    denial = release.access.may_manage(namespace, *DEFAULT, Labelled(False)).denial
    assert denial in stderr


def agrees(scene: Scene, release: Release) -> None:
    """Who is refused, and in which words, is what the operator itself would say."""
    let_in = f"{scene.namespace}-let-in"
    gateways = [DEFAULT, ("prod-1", "gw.v2"), ("prod-1", "gwxv2"), ("prod", "gw.v2"), ("x", "y")]
    verdicts: set[tuple[str, bool]] = set()
    for namespace in (scene.namespace, let_in, release.namespace, release.listed):
        for gateway in gateways:
            labelled = Labelled(namespace == let_in)
            denial = release.access.may_manage(namespace, *gateway, labelled).denial
            said = refusal(scene.api, namespace, gateway)
            assert bool(said) == bool(denial), (namespace, gateway, said)
            assert denial in said, (namespace, gateway)
            verdicts.add((namespace, bool(denial)))
    assert len(verdicts) == 7, "each namespace is let in somewhere but the first"


def change(tenant: Api, namespace: str, spec: Object) -> None:
    tenant.patch("kveventsyncs", "kv", {"spec": spec}, namespace)


@pytest.mark.parametrize("form", ["everything", "listed namespaces"])
def test_an_api_server_takes_every_object_of_it(scene: Scene, tmp_path: Path, form: str) -> None:
    """And finds no field that it does not know."""
    objects = ("kveventsyncs", scene.namespace)
    # On a bed that has just begun it takes a moment, and this test would be over before.
    scene.wait("the kind served", lambda: scene.api.list(*objects) == [])
    served = [scene.namespace]
    named = {"gateway": "/".join(DEFAULT), "namespaces": served}
    listed = {"watchNamespaces": served, "gatewayAccess": {"gateways": [named]}}
    values = merged(EVERYTHING, {"networkPolicy": {"enabled": True}})
    path = tmp_path / "values.json"
    path.write_text(json.dumps(values if form == "everything" else listed))
    words = ("template", "rel", CHART, "--namespace", scene.namespace, "--values", path)
    text = Helm(scene.api, tmp_path).run(*words).stdout
    bodies = [body for body in yaml.safe_load_all(text) if body]
    # A pod's account must be there already, and the bed has its own CRD.
    aside = ("Pod", "CustomResourceDefinition")
    known = [b for b in bodies if "monitoring.coreos" not in b["apiVersion"]]
    known = [b for b in known if b["kind"] not in aside]
    done = scene.api.kubectl(
        *("create", "--dry-run=server", "--validate=strict", "-f", "-"),
        stdin=yaml.safe_dump_all(known),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("created (server dry run)") == len(known)
    assert "unknown field" not in done.stderr
    assert "PodSecurity" not in done.stderr
