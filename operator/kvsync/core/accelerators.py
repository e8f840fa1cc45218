"""What a pod takes of a node's accelerators, by the names under which device plugins offer them.

Sources: the device plugins of NVIDIA, AMD, Intel, Habana, AWS, Google and Huawei (their READMEs);
Kubernetes, "Schedule GPUs". NVIDIA offers parts of a card as ``nvidia.com/mig-*``.
"""

from __future__ import annotations

import re

from kvsync.model.workload import Deployment

_ACCELERATOR = re.compile(
    r"nvidia\.com/(gpu(\.shared)?|mig-.+)|amd\.com/gpu|gpu\.intel\.com/(i915|xe)|habana\.ai/gaudi"
    r"|aws\.amazon\.com/(neuron|neuroncore)|google\.com/tpu|huawei\.com/ascend.+",
    re.IGNORECASE,
)
_MOST = 10_000
"""More than that on one pod is no count of devices."""


def accelerators(workload: Deployment) -> int:
    """How many devices one pod of a template holds; limits and requests of such are always equal."""
    return sum(
        _count(amount)
        for container in workload.containers
        for name, amount in ((container.body.get("resources") or {}).get("limits") or {}).items()
        if _ACCELERATOR.fullmatch(str(name))
    )


def _count(amount: object) -> int:
    """Devices come in whole numbers; anything else is no quantity that a node could give."""
    text = str(amount)
    return min(int(text), _MOST) if text.isdecimal() and len(text) < 9 else 0
