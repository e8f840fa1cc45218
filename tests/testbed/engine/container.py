"""The stand-in as a container image: its entry for the process kubelet's table of images."""

import os
import sys
from pathlib import Path
from typing import Any

REPOSITORIES = r"(.*/)?vllm(-openai|-cpu)?"
_IMAGE = Path(__file__).parent / "image"
_TESTS = Path(__file__).parents[2]
_PYTHON = Path(sys.executable).parent


def environment() -> dict[str, str]:
    """The variables that the image's programs need: ``vllm`` and ``python3`` on PATH."""
    return {
        "PATH": os.pathsep.join(map(str, (_IMAGE / "bin", _PYTHON, "/usr/bin", "/bin"))),
        "PYTHONPATH": os.pathsep.join(map(str, (_IMAGE / "site", _TESTS))),
    }


def image_entry(pull_seconds: float = 0) -> dict[str, Any]:
    """One entry of the images file."""
    return {
        "match": REPOSITORIES,
        "entrypoint": ["python3", "-m", "testbed.engine", "--image-entrypoint"],
        "cmd": [],
        "env": environment(),
        "pull_seconds": pull_seconds,
    }
