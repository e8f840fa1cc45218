"""SGLang's stand-in as pods of the bed, as its image starts and as it fails there."""

from collections.abc import Iterator
from typing import Any

import pytest

from bed.kubelet.stage import Stage, pod
from testbed.bed import Bed
from testbed.engine.listen import ask_replay
from testbed.engine.sglang.launch import LAUNCH_SERVER, events_flag
from testbed.engine.sglang.launch import QUIET as PAGES
from testbed.engine.wire import END_OF_REPLAY

pytestmark = pytest.mark.bed

IMAGE = "registry.local:5000/lmsysorg/sglang:v0.5.5-cu126"
READY = {"httpGet": {"path": "/health", "port": 30000}, "periodSeconds": 1}


@pytest.fixture(scope="module")
def stage(bed: Bed) -> Iterator[Stage]:
    """A namespace of this file."""
    bed.create_namespace("sglang")
    yield Stage(bed, "sglang")
    bed.api.delete("namespace", "sglang")


def engine(*arguments: str) -> dict[str, Any]:
    """The engine as the image's entry point runs it: ``args`` are a whole command line."""
    words = [*LAUNCH_SERVER, "--host=0.0.0.0", *PAGES, *arguments]
    return {"name": "engine", "image": IMAGE, "args": words, "readinessProbe": READY}


def test_it_serves_and_publishes_on_the_pods_address(stage: Stage) -> None:
    name = stage.run(pod("serves", engine(events_flag(5557, 5558))))
    stage.wait_ready(name)
    address = stage.status(name)["podIP"]
    first, *_, end = ask_replay(f"tcp://{address}:5558", bytes(8))
    assert first[-2] == bytes(8)
    assert end[-2] == END_OF_REPLAY
    assert "server_args=ServerArgs(" in stage.log(name, "engine")


def test_event_settings_without_a_publisher_make_it_end_with_0_again_and_again(
    stage: Stage,
) -> None:
    name = stage.run(pod("ends", engine("--kv-events-config={}")))
    found = stage.wait_container(name, "engine", lambda c: c["restartCount"] >= 1)
    ended = found["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
