"""What an owner is to change beside his manifest: a live object's kind, and the gateway's variables."""

from core.objects import TEMPLATES, Json, ask, container, deployment, spec_of
from core.scenes import gateway_of, gateway_turned_on
from kvsync.core.owner_change import OwnerChange, owner_change
from kvsync.core.owner_gateway import owners_variables
from kvsync.core.owner_tools import helm_values, patches_of
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.storm import StormService
from kvsync.model.workload import Deployment
from model.storms import storm


def change_of(body: Json) -> OwnerChange:
    return owner_change(Deployment(body), ask())


def test_items_of_a_list_have_their_kind_again() -> None:
    for body, kind in ((deployment(), Deployment), (storm(), StormService)):
        listed = {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}
        change = owner_change(kind(listed), ask())
        (patch,) = patches_of([change])
        assert patch.target["kind"] == body["kind"]
        assert f"{patch.target['group']}/{patch.target['version']}" == body["apiVersion"]


def test_a_gateway_that_the_operator_has_set_keeps_its_values() -> None:
    gateway = Deployment(gateway_turned_on())
    found = owners_variables(spec_of(), [change_of(deployment())], TEMPLATES, "default", gateway)
    assert found.values["AIBRIX_PREFIX_CACHE_BLOCK_SIZE"] == "64"
    assert found.words == ()


def test_a_plain_gateway_gets_what_is_known_of_it() -> None:
    spec: KVEventSyncSpec = spec_of(gateway={"environment": "V0_5"})
    body = deployment(container(args=["--model=tiny", "--port=8001"]))
    changes = [change_of(body)]
    found = owners_variables(spec, changes, TEMPLATES, "team", Deployment(gateway_of()))
    assert found.values["AIBRIX_VLLM_TOKENIZER_ENDPOINT_TEMPLATE"] == "http://%s:8001"
    endpoint = found.values["AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT"]
    assert endpoint == "http://model.team:8001"
    assert "AIBRIX_KV_EVENT_SYNC_ENABLED" not in found.values
    assert "left out" in found.words[0]
    named = spec_of(gateway={"remoteTokenizer": {"endpoint": "http://there:9"}})
    values = owners_variables(named, changes, TEMPLATES, "team").values
    assert values["AIBRIX_REMOTE_TOKENIZER_ENDPOINT"] == "http://there:9"


def test_what_is_right_needs_no_values() -> None:
    assert helm_values([], None).sections == ()
    assert helm_values([], None).words == ()
