"""The chart with every set of values, rendered by both Helms and held against Kubernetes' own schemas."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate.utils
import pytest
import yaml
from kubernetes_validate import validate

from bed.chart.test_chart_rendered import CHART, Object, helm, rendered
from chart.matrix import EVERYTHING, LISTED, Values, at_path, combinations, merged
from chart.wrong_values import WRONG

pytestmark = pytest.mark.bed

PROMETHEUS = "monitoring.coreos.com/v1"
OLDEST, NEWEST = "1.30", kubernetes_validate.utils.latest_version()
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
}
ALL = dict(combinations())


@pytest.fixture(scope="module", autouse=True)
def schemas_read_once() -> Iterator[None]:
    """The package reads 20 MB anew for each object."""
    with pytest.MonkeyPatch.context() as patch:
        read = functools.cache(kubernetes_validate.utils.schema_contents)
        patch.setattr(kubernetes_validate.utils, "schema_contents", read)
        yield


@functools.cache
def valid(body: str) -> None:
    """Raises ValidationError where an object is none of Kubernetes' oldest or newest release."""
    whole = json.loads(body)
    # The chart leaves the one kind out where it is not served.
    newer = whole["kind"].startswith("MutatingAdmissionPolicy")
    for version in (NEWEST,) if newer else (OLDEST, NEWEST):
        validate(whole, version, strict=True)


def key(body: Object) -> tuple[str, str, str]:
    metadata = body["metadata"]
    return body["kind"], metadata.get("namespace", ""), metadata["name"]


@pytest.mark.parametrize("major", [3, 4])
def test_every_wrong_value_is_refused_by_its_name(major: int) -> None:
    whole: Values = {}
    for path, value in WRONG:
        whole = merged(whole, at_path(path, value))
    with pytest.raises(RuntimeError) as refused:
        rendered(whole, major=major)
    for path in dict.fromkeys(path for path, _ in WRONG):
        *parents, last = path.split(".")
        place = "/".join(parents)
        assert re.search(rf"{place}.*{last}", str(refused.value).replace(".", "/")), path


@pytest.mark.parametrize("name", ALL)
def test_both_helms_render_the_same_valid_objects(name: str) -> None:
    bodies = rendered(ALL[name])
    assert bodies == rendered(ALL[name], major=3)
    keys = [key(body) for body in bodies]
    assert len(set(keys)) == len(keys)
    for body in bodies:
        known = body["apiVersion"] != PROMETHEUS  # tests/bed/chart/test_chart_metrics.py
        if known and body["kind"] != "CustomResourceDefinition":  # its schema holds one of its own
            valid(json.dumps(body, sort_keys=True))
    if name.startswith("listed namespaces") and "olicy" not in name and "aggregation" not in name:
        assert {kind for kind, _, _ in keys}.isdisjoint(CLUSTER_WIDE)


def test_a_wrong_object_is_noticed() -> None:
    body = next(body for body in rendered() if body["kind"] == "Deployment")
    body["spec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "Always"
    with pytest.raises(kubernetes_validate.utils.ValidationError, match="imagePolicy"):
        valid(json.dumps(body))


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize("values", [{}, LISTED, EVERYTHING], ids=["", "listed", "everything"])
def test_helms_own_checks_pass(values: Values, major: int) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), major=major, values=values)


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"watchNamespaces": ["team-a", "team-b"]},
            r"List in gatewayAccess.gateways, for aibrix-system/aibrix-gateway-plugins, the "
            r"namespaces .*: namespaces: \[team-a, team-b\]",
        ),
        (
            {
                "watchNamespaces": ["team-a"],
                "gatewayAccess": {"gateways": [{"gateway": "a/b*", "namespaces": ["team-a"]}]},
            },
            r"Name the gateway a/b\* of gatewayAccess.gateways in full",
        ),
        (
            {"metricsAddress": "off", "metrics": {"serviceMonitor": {"enabled": True}}},
            r"there is nothing to scrape. Give an address, or set .*serviceMonitor.enabled to false",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_the_way_out(
    values: Values, said: str, major: int
) -> None:
    with pytest.raises(RuntimeError, match=said):
        rendered(values, major=major)


def pods(bodies: list[Object]) -> dict[str, Any]:
    """The specs of all pods, by the name of what makes them."""
    found = {}
    for body in bodies:
        if body["kind"] in ("Deployment", "Job"):
            found[body["metadata"]["name"]] = body["spec"]["template"]
        elif body["kind"] == "Pod":
            found[body["metadata"]["name"]] = body
    return found


def test_every_pod_may_do_as_little_as_the_level_restricted_asks() -> None:
    made = pods(rendered())
    assert made
    for name, pod in made.items():
        spec = pod["spec"]
        context = {**spec["securityContext"], **spec["containers"][0]["securityContext"]}
        assert context == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


@pytest.mark.parametrize("major", [3, 4])
def test_numbers_of_users_can_be_left_to_the_cluster(major: int) -> None:
    numbers = {"podSecurityContext": {"runAsUser": None, "runAsGroup": None}}
    for pod in pods(rendered(numbers, major=major)).values():
        assert pod["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_only_the_operators_own_pods_are_selected_by_what_looks_for_it() -> None:
    bodies = rendered({"networkPolicy": {"enabled": True}})
    made = pods(bodies)
    wanted = next(b for b in bodies if b["kind"] == "Deployment")["spec"]["selector"]["matchLabels"]
    selected = [n for n, p in made.items() if wanted.items() <= p["metadata"]["labels"].items()]
    assert selected == ["rel-kvsync-operator"]
    budget = next(b for b in bodies if b["kind"] == "PodDisruptionBudget")
    assert budget["spec"]["selector"]["matchLabels"] == wanted
    policy = next(b for b in bodies if b["kind"] == "NetworkPolicy")["spec"]["podSelector"]
    names = policy["matchExpressions"][0]["values"]
    assert {p["metadata"]["labels"]["app.kubernetes.io/name"] for p in made.values()} <= {*names}


@pytest.mark.parametrize(
    ("budget", "wanted"),
    [
        ({}, {"maxUnavailable": 1}),
        ({"minAvailable": 1}, {"minAvailable": 1}),
        ({"minAvailable": "50%"}, {"minAvailable": "50%"}),
        ({"maxUnavailable": 0}, {"maxUnavailable": 0}),
    ],
)
def test_a_budget_has_one_of_both_bounds(budget: Values, wanted: Values) -> None:
    bodies = rendered({"podDisruptionBudget": budget})
    spec = next(b for b in bodies if b["kind"] == "PodDisruptionBudget")["spec"]
    bounds = {k: v for k, v in spec.items() if k in ("minAvailable", "maxUnavailable")}
    assert bounds == wanted


def test_templates_in_further_objects_are_rendered() -> None:
    maps = [b for b in rendered(EVERYTHING) if b["kind"] == "ConfigMap"]
    assert [b["metadata"]["name"] for b in maps] == ["rel-more", "kvsync-operator-text"]
    assert maps[0]["data"] == {"a": "debug"}


@pytest.mark.parametrize("time", [("90s", 150), ("30m", 1860), ("2h", 7260)])
def test_the_job_that_undoes_ends_a_minute_after_its_command(time: tuple[str, int]) -> None:
    bodies = rendered({"uninstall": {"undo": {"timeout": time[0]}}})
    job = next(b for b in bodies if b["kind"] == "Job")
    assert job["spec"]["activeDeadlineSeconds"] == time[1]
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args == ["disable", "--all", f"--timeout={time[0]}"]


def test_what_undoes_stands_only_while_it_is_needed_and_may_list_and_delete_objects() -> None:
    for values in ({}, LISTED):
        made = [b for b in rendered(values) if b["metadata"]["name"].endswith("-undo")]
        weights = {}
        for body in made:
            about = body["metadata"]["annotations"]
            assert about["helm.sh/hook"] == "pre-delete"
            assert about["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
            weights[body["kind"]] = int(about["helm.sh/hook-weight"])
            if "rules" in body:
                assert body["rules"] == [
                    {
                        "apiGroups": ["kvsync.aibrix.ai"],
                        "resources": ["kveventsyncs"],
                        "verbs": ["list", "delete"],
                    }
                ]
        assert max(weights, key=lambda kind: weights[kind]) == "Job"
    places = [b["metadata"].get("namespace") for b in made if b["kind"] == "Role"]
    assert places == ["team-a", "team-b"]
    job = next(b for b in made if b["kind"] == "Job")["spec"]["template"]["spec"]["containers"][0]
    assert job["args"][-2:] == ["--namespace=team-a", "--namespace=team-b"]


def test_an_undo_that_nobody_may_carry_out_is_left_out() -> None:
    assert not [b for b in rendered({"rbac": {"create": False}}) if b["kind"] == "Job"]
    own = merged({"rbac": {"create": False}}, {"uninstall": {"undo": {"serviceAccountName": "u"}}})
    job = next(b for b in rendered(own) if b["kind"] == "Job")
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "u"


def test_it_renders_without_a_cluster_and_without_chance() -> None:
    texts = [path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file()]
    for word in ("lookup ", "genCA", "genSelfSignedCert", "rand", "uuidv4", "now "):
        assert not [text for text in texts if f" {word}" in text or f"({word}" in text], word


def test_the_version_range_is_text() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert isinstance(about["kubeVersion"], str)


def notes(values: Values) -> str:
    """What is told after an installation. Only Helm 4 does it without a cluster."""
    words = ("install", "rel", str(CHART), "--dry-run=client", "--namespace", "ops")
    return helm(*words, values=values).partition("\nNOTES:\n")[2]


def test_the_next_step_is_told_and_nothing_to_worry_about() -> None:
    said = notes({})
    assert "kubectl label namespace NAMESPACE kvsync.aibrix.ai/gateway-access=true" in said
    assert "kvsync enable NAMESPACE MODEL" in said
    assert "helm test rel --namespace ops --logs" in said
    assert "helm uninstall rel --namespace ops --timeout 30m" in said
    assert "WARNING" not in said
    assert "Mode Admission is not installed" in said, "nobody asked a cluster what it serves"
    assert "spec.mode Admission (docs/admission.md)" in notes({"admission": {"enabled": True}})
    listed = notes(LISTED)
    assert "serves the KVEventSyncs of team-a, team-b." in listed
    assert "kvsync enable team-a MODEL" in listed
    assert "kubectl label" not in listed


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({"uninstall": {"undo": {"enabled": False}}}, "run kvsync disable --all"),
        ({"rbac": {"create": False}}, "nobody may carry it out"),
        ({"crds": {"keep": False}}, "crds.keep is false"),
        ({"rbac": {"gatewayLogs": False}}, "stays Unknown"),
        ({"metricsAddress": "off"}, "metricsAddress is off"),
        ({"image": {"tag": "latest"}}, "image.tag is latest"),
        ({"podSecurityContext": {"runAsUser": 0}}, "run as root"),
        ({"maxRolling": 0}, "maxRolling is 0"),
        ({"replicas": 1}, "replicas is 1"),
        ({"gatewayAccess": {"gateways": [{"gateway": "a/*"}]}}, "the gateway a/* is a pattern"),
        (
            {"gatewayAccess": {"gateways": [{"gateway": "a/b", "namespaces": ["*"]}]}},
            "objects of every namespace may have the gateway a/b changed",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_risky_value_is_warned_of(values: Values, warning: str) -> None:
    said = notes(values)
    assert said.count("WARNING: ") == 1
    assert warning in said.partition("WARNING: ")[2]
