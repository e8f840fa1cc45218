"""The chart as the real Helm renders it: what it installs, and that it says what the values say."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.matrix import EVERYTHING, LISTED, merged
from kvsync.core.gateway_access import GatewayGrant, parse_grant
from testbed.helm.install import find_helm

pytestmark = pytest.mark.bed

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "kvsync-operator"
CRD = ROOT / "crds" / "kveventsync.yaml"
INSTALL = ROOT / "docs" / "samples" / "install" / "operator.yaml"
ADMISSION = INSTALL.with_name("admission.yaml")

Object = dict[str, Any]


def helm(*words: str, major: int = 4, values: Object | None = None) -> str:
    given = ["--values", "-"] if values else []
    done = subprocess.run(
        [str(find_helm(major)), *words, *given],
        input=json.dumps(values or {}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


INJECTS = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"


def rendered(
    values: Object | None = None, *, major: int = 4, kinds: tuple[str, ...] = (INJECTS,)
) -> list[Object]:
    # A release of Helm knows the kinds that were there when it was built: this is the newest one's.
    served = tuple(f"--api-versions={kind}" for kind in kinds)
    words = ("template", "rel", str(CHART), "--namespace", "ops", *served)
    text = helm(*words, major=major, values=values)
    return [body for body in yaml.safe_load_all(text) if body]


PARTS = ("-engine-logs", "-namespaces", "-leader", "-view", "-edit", "-undo")
"""Ends of names of roles, bindings and accounts that stand apart from the main ones."""


def one(bodies: list[Object], kind: str) -> Any:
    """The only object of a kind, beside those that stand apart."""
    found = [body for body in bodies if body["kind"] == kind]
    (only,) = [body for body in found if not body["metadata"]["name"].endswith(PARTS)]
    return only


def those(bodies: list[Object], end: str) -> list[Object]:
    """The objects whose names end so."""
    return [body for body in bodies if body["metadata"]["name"].endswith(end)]


@pytest.mark.parametrize("values", [None, EVERYTHING])
@pytest.mark.parametrize("major", [3, 4])
def test_it_passes_helms_own_checks(values: Object | None, major: int) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), major=major, values=values)


def test_both_helms_render_the_same_and_twice_the_same() -> None:
    assert rendered(EVERYTHING) == rendered(EVERYTHING) == rendered(EVERYTHING, major=3)


def test_the_crd_is_the_one_source_and_can_be_left_out_or_given_up() -> None:
    source = yaml.safe_load(CRD.read_text())
    bodies = rendered()
    crd = one(bodies, "CustomResourceDefinition")
    kept = {
        "helm.sh/resource-policy": "keep",
        "argocd.argoproj.io/sync-options": "Prune=false",
    }
    assert crd["metadata"].pop("annotations") == kept
    assert crd == source
    given_up = rendered({"crds": {"keep": False}})
    assert one(given_up, "CustomResourceDefinition") == source
    without = rendered({"crds": {"enabled": False}})
    assert without == [b for b in bodies if b["kind"] != "CustomResourceDefinition"]


def test_it_installs_what_the_install_manifest_installs() -> None:
    manifest = list(yaml.safe_load_all(INSTALL.read_text()))
    sample = {b["kind"]: one(manifest, b["kind"]) for b in manifest}
    bodies = rendered()
    assert one(bodies, "ClusterRole")["rules"] == sample["ClusterRole"]["rules"]
    pod = one(bodies, "Deployment")["spec"]["template"]["spec"]
    theirs = sample["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"] == theirs["securityContext"]
    container, wanted = pod["containers"][0], theirs["containers"][0]
    assert {k: v for k, v in container.items() if k not in ("args", "imagePullPolicy")} == {
        k: v for k, v in wanted.items() if k != "args"
    }
    account = one(bodies, "ServiceAccount")["metadata"]
    for binding in ("ClusterRoleBinding", "RoleBinding"):
        (subject,) = one(bodies, binding)["subjects"]
        assert (subject["namespace"], subject["name"]) == (account["namespace"], account["name"])
        role = one(bodies, one(bodies, binding)["roleRef"]["kind"])
        assert one(bodies, binding)["roleRef"]["name"] == role["metadata"]["name"]
    role, expected = one(bodies, "Role"), sample["Role"]
    assert role["rules"] == expected["rules"]
    assert role["metadata"]["namespace"] == expected["metadata"]["namespace"] == "aibrix-system"
    assert account["namespace"] == "ops"
    assert pod["serviceAccountName"] == account["name"]


def test_the_operator_is_told_the_gateways_of_the_values() -> None:
    args = one(rendered(EVERYTHING), "Deployment")["spec"]["template"]["spec"]["containers"][0][
        "args"
    ]
    told = [word.partition("=")[2] for word in args if word.startswith("--gateway=")]
    assert tuple(map(parse_grant, told)) == (
        GatewayGrant("aibrix-system", "aibrix-gateway-plugins"),
        GatewayGrant("prod-*", "gw.v2", ("team-a", "squad-*")),
    )


def test_logs_are_read_in_the_namespaces_that_gateways_are_named_in_and_nowhere_else() -> None:
    names = ("a/one", "a/two", "b/one", "c-*/one")
    values: Object = {"gatewayAccess": {"gateways": [{"gateway": name} for name in names]}}
    for kind in ("Role", "RoleBinding"):
        found = [b for b in rendered(values) if b["kind"] == kind]
        assert [body["metadata"]["namespace"] for body in found] == ["a", "b", "ops"]
    without = rendered({"rbac": {"gatewayLogs": False}})
    assert {
        b["metadata"]["namespace"] for b in without if b["kind"] in ("Role", "RoleBinding")
    } == {"ops"}


@pytest.mark.parametrize(
    ("part", "without"),
    [
        ("-engine-logs", {"rbac": {"engineLogs": False}}),
        (
            "-namespaces",
            {"gatewayAccess": {"gateways": [{"gateway": "a/b", "namespaces": ["team"]}]}},
        ),
    ],
)
def test_a_right_that_may_be_left_out_is_that_of_the_install_manifest(
    part: str, without: Object
) -> None:
    role, binding = those(rendered(), part)
    expected, _ = those(list(yaml.safe_load_all(INSTALL.read_text())), part)
    assert role["rules"] == expected["rules"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == one(rendered(), "ClusterRoleBinding")["subjects"]
    assert those(rendered(without), part) == []


@pytest.mark.parametrize("action", ["Warn", "Deny"])
def test_the_policy_warns_or_denies_and_can_be_left_out(action: str) -> None:
    bodies = rendered({"gatewayAccess": {"action": action}})
    binding = one(bodies, "ValidatingAdmissionPolicyBinding")
    assert binding["spec"]["validationActions"] == [action, "Audit"]
    policy = one(bodies, "ValidatingAdmissionPolicy")
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    without = rendered({"gatewayAccess": {"action": action, "policy": {"enabled": False}}})
    kinds = {body["kind"] for body in bodies} - {body["kind"] for body in without}
    assert kinds == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


BETA = "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy"


def admission(bodies: list[Object]) -> list[Object]:
    """The policy of mode Admission and its binding."""
    return [b for b in bodies if b["kind"].startswith("MutatingAdmissionPolicy")]


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize(
    ("kinds", "enabled", "version"),
    [
        ((INJECTS,), "Auto", "v1"),
        ((BETA, INJECTS), "Auto", "v1"),
        ((BETA,), "Auto", "v1beta1"),
        ((BETA,), True, "v1beta1"),
        ((), True, "v1"),
        ((), "Auto", ""),
        ((INJECTS,), False, ""),
    ],
)
def test_the_admission_policy_is_written_as_it_is_served_and_the_operator_told(
    kinds: tuple[str, ...], enabled: object, version: str, major: int
) -> None:
    bodies = rendered({"admission": {"enabled": enabled}}, major=major, kinds=kinds)
    wanted = {f"admissionregistration.k8s.io/{version}"} if version else set()
    assert {body["apiVersion"] for body in admission(bodies)} == wanted
    args = one(bodies, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert ("--admission-policy" in args) == bool(version)


def test_the_admission_policy_is_that_of_the_install_manifest_but_for_its_name_and_namespaces() -> (
    None
):
    policy, binding = admission(rendered())
    wanted, bound = yaml.safe_load_all(ADMISSION.read_text())
    assert policy["metadata"]["name"] == binding["metadata"]["name"] == "rel-kvsync-operator-inject"
    where = policy["spec"]["matchConstraints"].pop("namespaceSelector")
    theirs = wanted["spec"]["matchConstraints"].pop("namespaceSelector")
    key = "kubernetes.io/metadata.name"
    out = {"key": key, "operator": "NotIn", "values": ["kube-system", "ops"]}
    assert where == {"matchExpressions": [out]}
    assert theirs == {"matchExpressions": [out | {"values": ["kube-system", "kvsync-system"]}]}
    assert policy["spec"] == wanted["spec"]
    bound["spec"]["policyName"] = "rel-kvsync-operator-inject"
    assert binding["spec"] == bound["spec"]


def test_people_are_not_given_the_right_to_say_what_pods_get() -> None:
    roles = those(rendered(), "-edit") + those(rendered(), "-view")
    assert len(roles) == 2
    for rule in (rule for role in roles for rule in role["rules"]):
        reads = set(rule["verbs"]) <= {"get", "list", "watch"}
        assert reads or "kveventsyncs/status" not in rule["resources"]
        assert "*" not in (*rule["verbs"], *rule["resources"])


def test_with_listed_namespaces_it_is_made_on_request_alone_and_for_these_only() -> None:
    assert admission(rendered(LISTED)) == []
    policy, _ = admission(rendered(merged(LISTED, {"admission": {"enabled": True}})))
    (where,) = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert (where["operator"], where["values"]) == ("In", ["team-a", "team-b"])


def test_a_value_of_the_wrong_form_is_refused_before_anything_is_rendered() -> None:
    with pytest.raises(RuntimeError, match=r"gatewayAccess"):
        rendered({"gatewayAccess": {"gateways": [{"gateway": "everything"}]}})
    with pytest.raises(RuntimeError, match=r"[Aa]dditional propert"):
        rendered({"replica": 3})
