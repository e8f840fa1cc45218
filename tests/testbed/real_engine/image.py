"""The real engine as a container image: its entry for the process kubelet's table of images."""

import json
import os
from typing import Any

from testbed.bed import Bed
from testbed.real_engine.install import VERSION, Engine

IMAGE = f"vllm/vllm-openai:v{VERSION}"

HEALTHY_WITHIN = 180.0
"""Seconds; alone on two cores it takes 16 to 35."""

SMALL = (
    "--load-format=dummy",
    "--enforce-eager",
    "--dtype=bfloat16",
    "--max-model-len=512",
    "--block-size=32",
    "--num-gpu-blocks-override=40",
)
"""Arguments for the tiny model: weights made up at start, and a cache that soon has to evict."""


def serve_command(engine: Engine, served_name: str, port: int = 8000) -> list[str]:
    """A container's command that serves the tiny model, as its owner would write it."""
    names = [f"--served-model-name={served_name}", f"--port={port}"]
    return ["vllm", "serve", str(engine.model), *names, *SMALL]


def image_entry(engine: Engine) -> dict[str, Any]:
    """One entry of the images file: official images' repository, the installed engine's programs."""
    return {
        "match": r"(.*/)?vllm-openai",
        "entrypoint": ["vllm", "serve"],
        "cmd": [],
        "env": {
            "PATH": os.pathsep.join([str(engine.programs), "/usr/bin", "/bin"]),
            "HOME": "/tmp",  # a container's own, so nothing is left on this machine
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
            # Otherwise the first request waits 21 s for a C++ compiler.
            "TORCH_COMPILE_DISABLE": "1",
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        },
    }


def bring(bed: Bed, engine: Engine) -> None:
    """From now on pods of the official images run the real engine on this bed.

    The first entry that matches counts, and the kubelet reads the table again when it changed.
    """
    table = bed.directory / "images.json"
    entries: list[dict[str, Any]] = json.loads(table.read_text())
    fresh = table.with_suffix(".new")
    fresh.write_text(json.dumps([image_entry(engine), *entries]))
    fresh.replace(table)
