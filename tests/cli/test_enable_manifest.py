"""``kvsync enable``: the object that its options come to; only what differs from defaults is written."""

from typing import Any

import pytest

from kvsync.cli.enable import manifest
from kvsync.model.spec import KVEventSyncSpec, RelayMode

PLAIN: dict[str, Any] = {
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


@pytest.mark.parametrize("mode", RelayMode)
def test_a_relay_is_asked_for_by_its_mode(mode: RelayMode) -> None:
    spec = manifest("team", "m", **{**PLAIN, "relay": mode.value})["spec"]
    assert KVEventSyncSpec.from_manifest(spec).events.relay.mode is mode
    assert ("events" in spec) is (mode is not RelayMode.OFF)
