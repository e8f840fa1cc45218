"""Start SGLang's stand-in as a plain process on this host: for tests that need no cluster."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from testbed.engine.launch import EngineProcess
from testbed.engine.listen import kept_batches
from testbed.waiting import wait_for

LAUNCH_SERVER = ("python3", "-m", "sglang.launch_server", "--model-path", "org/tiny")
SGLANG_SERVE = ("sglang", "serve", "--model-path", "org/tiny")
QUIET = ("--page-size=16",)
"""The warm-up prompt does not fill a page of this size: a start says only that all is cleared."""


class SglangProcess(EngineProcess):
    """One engine; a context manager that ends it. ``version`` is what its image's tag would be."""

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        version: str = "0.5.23",
        program: Sequence[str] = LAUNCH_SERVER,
        env: Mapping[str, str] | None = None,
    ) -> None:
        environ = {"TESTBED_SGLANG_VERSION": version, **(env or {})}
        super().__init__(arguments, program=program, env=environ)


def events_flag(publish: int, replay: int | None = None, **more: Any) -> str:
    """``--kv-events-config`` with what an owner would write."""
    config = {"publisher": "zmq", "endpoint": f"tcp://*:{publish}", **more}
    if replay:
        config["replay_endpoint"] = f"tcp://*:{replay}"
    return f"--kv-events-config={json.dumps(config)}"


def wait_kept(replay: int, count: int) -> list[Any]:
    """The ``count`` batches that a publisher on this host keeps, once there are so many."""
    endpoint = f"tcp://127.0.0.1:{replay}"
    wait_for(lambda: len(kept_batches(endpoint)) >= count, what=f"{count} batches are kept")
    batches = kept_batches(endpoint)
    assert len(batches) == count, batches
    return batches
