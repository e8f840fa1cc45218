"""What an Argo CD Application needs so that a slot stays filled: one value that it ignores.

Source: Argo CD, "Diff Customization" and "Sync Options" (RespectIgnoreDifferences); jq 1.8.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kvsync.core.slot import SLOT_VARIABLE
from kvsync.model import storm

RESPECT = "RespectIgnoreDifferences=true"
"""Without it each sync puts back what is ignored in the comparison only."""

_VALUE = f'containers[]?.env[]? | select(.name=="{SLOT_VARIABLE}") | .value'
_GROUPS = {"Deployment": "apps", storm.KIND: storm.API_VERSION.partition("/")[0]}
_PATHS = {
    "Deployment": f".spec.template.spec.{_VALUE}",
    storm.KIND: f".spec.template.spec.roles[]?.template.spec.{_VALUE}",
}


def slot_path(kind: str) -> str:
    """The jq path of the slot's value in an object of this kind; of no other value.

    Raises:
        KeyError: a kind that is not changed.
    """
    return _PATHS[kind]


def ignored_slot(kinds: Iterable[str]) -> dict[str, Any]:
    """The part of an Application's ``spec`` for workloads of these kinds."""
    return {
        "syncPolicy": {"syncOptions": [RESPECT]},
        "ignoreDifferences": [
            {"group": _GROUPS[kind], "kind": kind, "jqPathExpressions": [slot_path(kind)]}
            for kind in sorted(set(kinds))
        ],
    }
