"""kvsync render --network-policy: the policy beside each model, for Git."""

from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from cli.test_render import MODEL, OTHER
from core.network_rules import Source, gets_through
from kvsync.cli.main import cli

A = MODEL.replace("\nspec:\n", "\nspec:\n  selector: {{matchLabels: {{app: a}}}}\n").format(
    name="a"
)
READERS = (
    "--network-policy=aibrix-system/app=gateway-plugins",
    "--network-policy=kvsync-system/app.kubernetes.io/name=kvsync-operator,team=a",
)
GATEWAY = Source("aibrix-system", {"app": "gateway-plugins"})
OPERATOR = Source("kvsync-system", {"app.kubernetes.io/name": "kvsync-operator", "team": "a"})
STRANGER = Source("default", {"app": "gateway-plugins"})
DENY = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""


def run(*words: str, stdin: str) -> Result:
    return CliRunner().invoke(cli, ["render", "-f", "-", *words], input=stdin)


def written(*words: str, stdin: str) -> list[Any]:
    done = run("-o", "yaml", *words, stdin=stdin)
    assert done.exit_code == 0, done.output
    return list(yaml.safe_load_all(done.stdout))


def test_it_stands_behind_its_model_and_lets_only_the_named_pods_to_the_events() -> None:
    bodies = written(*READERS, stdin=A + OTHER)
    assert [body["kind"] for body in bodies] == ["Deployment", "NetworkPolicy", "ConfigMap"]
    policy = bodies[1]
    assert policy["metadata"] == {"name": "kvsync-a"}
    for source, reached in ((GATEWAY, True), (OPERATOR, True), (STRANGER, False)):
        assert gets_through([policy], "default", {"app": "a"}, source, 5557) is reached
        assert gets_through([policy], "default", {"app": "a"}, source, 8000)


def test_rendered_again_nothing_changes() -> None:
    once = run("-o", "yaml", *READERS, stdin=A).stdout
    assert run("-o", "yaml", *READERS, stdin=once).stdout == once


def test_beside_a_policy_of_the_manifests_only_the_events_are_added() -> None:
    bodies = written(*READERS, stdin=A + DENY)
    (ours,) = [body for body in bodies if body["metadata"]["name"] == "kvsync-a"]
    assert len(ours["spec"]["ingress"]) == 1


def test_the_diff_and_the_data_hold_it_too() -> None:
    told = run(*READERS, stdin=A).stdout
    assert "+++ networkpolicy kvsync-a" in told
    (entry,) = yaml.safe_load(run("-o", "json", *READERS, stdin=A).stdout)
    assert [policy["kind"] for policy in entry["networkPolicies"]] == ["NetworkPolicy"]
    (entry,) = yaml.safe_load(run("-o", "json", stdin=A).stdout)
    assert "networkPolicies" not in entry


@pytest.mark.parametrize(
    "text", ["", "aibrix-system", "a/", "/app=x", "a/app", "a/app=x,", "A/b=c"]
)
def test_a_wrong_form_is_a_usage_error(text: str) -> None:
    refused = run(f"--network-policy={text}", stdin=A)
    assert refused.exit_code == 2
    assert "NAMESPACE/KEY=VALUE" in refused.output


def test_a_model_that_no_policy_can_tell_from_others_is_said() -> None:
    refused = run(*READERS, stdin=MODEL.format(name="a"))
    assert refused.exit_code == 1
    assert "it has no spec.selector" in str(refused.exception)


def test_there_is_none_to_take_back() -> None:
    refused = run("--undo", *READERS, stdin=A)
    assert refused.exit_code == 2
    assert "--undo takes no --network-policy" in refused.output
