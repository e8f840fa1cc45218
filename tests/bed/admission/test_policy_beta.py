"""The policy in the form of the API's beta, which is all that Kubernetes 1.34 and 1.35 can serve."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from bed.admission.stage import (
    CONFIG,
    CRD,
    POLICY,
    Stage,
    container,
    entry,
    established,
    in_effect,
    pod,
)
from kvsync.adapters.kube.access import Access
from kvsync.adapters.kube.admission import policy_version
from kvsync.adapters.kube.client import Kube
from testbed.cluster import ControlPlane
from testbed.programs import find_programs

pytestmark = pytest.mark.bed

BETA = "admissionregistration.k8s.io/v1beta1"


def test_it_is_taken_and_does_the_same(tmp_path: Path) -> None:
    flag = f"--runtime-config={BETA}=true"
    with ControlPlane(tmp_path / "plane", find_programs(), apiserver_flags=[flag]) as plane:
        plane.api.apply(CRD)
        established(plane.api)
        for body in yaml.safe_load_all(POLICY.read_text()):
            plane.api.create({**body, "apiVersion": BETA})
        stage = Stage(plane)
        stage.write(entry())
        in_effect(stage)
        assert container(stage.tried(pod()))["args"] == [CONFIG]
        assert asyncio.run(served(plane.kubeconfig)) == "v1", "where both are served"


async def served(kubeconfig: Path) -> str:
    """What the operator finds out of the API server."""
    kube = Kube(await Access.find(str(kubeconfig), None))
    try:
        return await policy_version(kube)
    finally:
        await kube.close()
