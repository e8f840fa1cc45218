"""The stand-in as a container image: its entry for the process kubelet's table of images."""

from typing import Any

from testbed.engine.container import environment

REPOSITORIES = r"(.*/)?sglang[^/]*"


def image_entry(pull_seconds: float = 0) -> dict[str, Any]:
    """One entry of the images file.

    SGLang's images have the entry point of their base, which runs what it is given
    (``docker/Dockerfile``: ``FROM nvidia/cuda``): ``args`` alone must be a whole command line.
    """
    return {
        "match": REPOSITORIES,
        "entrypoint": ["nvidia_entrypoint.sh"],
        "cmd": [],
        "env": environment(),
        "pull_seconds": pull_seconds,
    }
