"""The captured stream, played again, is the captured stream."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import engine
from testbed.engine.container import environment
from testbed.engine.launch import free_ports
from testbed.engine.listen import Listener

CAPTURE = Path(engine.__file__).parents[1] / "data" / "vllm_capture_0.32.0.jsonl"


@pytest.mark.parametrize("rate", [[], ["--rate=2000"]])
def test_every_captured_byte_is_delivered_in_order(rate: list[str]) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "testbed.engine.playback", str(CAPTURE), f"--port={port}"]
    with (
        Listener(f"tcp://127.0.0.1:{port}") as listener,
        subprocess.Popen([*command, *rate, "--once"], env=environment()) as player,
    ):
        try:
            entries = [json.loads(line) for line in CAPTURE.read_text().splitlines()]
            received = [[frame.hex() for frame in listener.receive()] for _ in entries]
            assert player.wait(10) == 0
        finally:
            player.kill()
    assert len(entries) == 187
    assert received == [
        [entry["topic"].encode().hex(), entry["seq_hex"], entry["payload_hex"]] for entry in entries
    ]
