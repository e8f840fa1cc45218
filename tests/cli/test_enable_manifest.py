"""``kvsync enable``: the object that its options come to; only what differs from defaults is written."""

from typing import Any

import pytest

from kvsync.cli.enable import manifest
from kvsync.model.spec import KVEventSyncSpec, RelayMode

PLAIN: dict[str, Any] = {
    "labels": (),
    "name": None,
    "engine_type": "VLLM",
    "dialect": "Auto",
    "engine_version": "",
    "container": "",
    "tokenizer_endpoint": "",
    "relay": "Off",
    "gateway": True,
    "gateway_deployment": "aibrix-system/aibrix-gateway-plugins",
}


def test_labels_are_those_of_the_object() -> None:
    made = manifest("team", "m", **{**PLAIN, "labels": (("shard", "a"), ("tier", ""))})
    assert made["metadata"]["labels"] == {"shard": "a", "tier": ""}
    assert "labels" not in manifest("team", "m", **PLAIN)["metadata"]


@pytest.mark.parametrize("mode", RelayMode)
def test_a_relay_is_asked_for_by_its_mode(mode: RelayMode) -> None:
    spec = manifest("team", "m", **{**PLAIN, "relay": mode.value})["spec"]
    assert KVEventSyncSpec.from_manifest(spec).events.relay.mode is mode
    assert ("events" in spec) is (mode is not RelayMode.OFF)
