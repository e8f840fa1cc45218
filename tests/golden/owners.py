"""How owners bring a model into a cluster, and what of the object then tells who owns its fields.

The objects were written by the real programs on a real API server (tests/bed/test_written_fields.py);
of Argo CD and Flux only their managers' names and marks are played, as seen on theirs.
"""

import copy
from pathlib import Path
from typing import Any

from golden.files import load

Json = dict[str, Any]

CORPUS = Path(__file__).parent / "managed_fields"

_NOISE = ("kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision")


def owned(name: str) -> Json:
    """The object of one case, as the operator's watch keeps it."""
    return load(CORPUS / f"{name}.yaml")


def telling(body: Json) -> Json:
    """The part of an object that is kept as an expectation: nothing that differs from run to run."""
    metadata, spec = body["metadata"], body["spec"]
    marks = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in _NOISE}
    entries = [
        {k: v for k, v in entry.items() if k != "time"} for entry in metadata["managedFields"]
    ]
    kept = {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": {
            "name": metadata["name"],
            "labels": metadata.get("labels") or {},
            "annotations": marks,
            # The controller writes its own entry when it comes to it.
            "managedFields": [entry for entry in entries if "f:spec" in entry.get("fieldsV1", {})],
        },
        "spec": {k: spec[k] for k in ("replicas", "selector", "template")},
    }
    return copy.deepcopy(kept)
