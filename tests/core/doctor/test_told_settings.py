"""An operator's settings, read from its Deployment as the chart and people write it."""

from __future__ import annotations

from typing import Any

from kvsync.core.doctor.told_settings import ToldSettings, runs_it, told_settings
from kvsync.core.gateway_access import GatewayGrant
from kvsync.core.leadership import lease_of
from kvsync.model.selector_text import parse_selector
from kvsync.model.workload import Deployment


def operator(*args: str, env: dict[str, str] | None = None, **spec: Any) -> Deployment:
    variables = [{"name": key, "value": value} for key, value in (env or {}).items()]
    container = {"name": "operator", "args": list(args), "env": variables}
    template = {"spec": {"containers": [container], **spec}}
    return Deployment({"metadata": {"name": "o"}, "spec": {"template": template}})


def test_both_forms_of_options_are_read() -> None:
    words = ("run", "--namespace=a", "--namespace", "b", "--gateway=x/gw=a,b", "--lease-name=l")
    assert told_settings(operator(*words, serviceAccountName="sa")) == ToldSettings(
        ("a", "b"), (GatewayGrant("x", "gw", ("a", "b")),), "l", "sa"
    )


def test_a_selector_is_read_in_both_forms_and_names_the_lease() -> None:
    by_word = told_settings(operator("run", "--object-selector", "shard in (b, a)"))
    by_variable = told_settings(operator("run", env={"KVSYNC_OBJECT_SELECTOR": "shard in (a,b)"}))
    assert by_word == by_variable
    assert by_word.object_selector == parse_selector("shard in (a,b)")
    assert by_word.lease_name == lease_of(by_word.object_selector)
    named = told_settings(operator("run", "--object-selector=shard=a", "--lease-name=l"))
    assert named.lease_name == "l"
    assert told_settings(operator("run", "--object-selector=a>1")).object_selector is None


def test_variables_stand_in_for_options() -> None:
    env = {"KVSYNC_NAMESPACES": "a b", "KVSYNC_GATEWAYS": "x/gw", "KVSYNC_LEASE_NAME": "l"}
    found = told_settings(operator("run", env=env))
    assert found == ToldSettings(("a", "b"), (GatewayGrant("x", "gw"),), "l", "default")
    assert told_settings(operator("run", "--namespace=c", env=env)).namespaces == ("c",)


def test_a_switch_is_read_in_all_its_forms() -> None:
    variable = {"KVSYNC_MODEL_NETWORK_POLICY": "true"}
    assert told_settings(operator("run", "--model-network-policy")).model_network_policy
    assert told_settings(operator("run", env=variable)).model_network_policy
    assert told_settings(operator("run", "--admission-policy")).admission_policy
    off = operator("run", "--no-model-network-policy", env=variable)
    assert not told_settings(off).model_network_policy


def test_what_cannot_be_read_is_left_out() -> None:
    assert told_settings(operator("run", "--gateway=everything")).gateways == ()
    assert told_settings(operator("sleep")) == ToldSettings()


def test_an_operator_is_known_by_its_image_and_its_command() -> None:
    def running(image: str, *args: str) -> bool:
        container = {"name": "o", "image": image, "args": list(args)}
        template = {"spec": {"containers": [container]}}
        return runs_it(Deployment({"metadata": {"name": "o"}, "spec": {"template": template}}))

    assert running("registry.example.com/x/kvsync-operator:0.1.0", "run")
    assert not running("kvsync-operator:0.1.0", "relay")
    assert not running("other:0.1.0", "run")
