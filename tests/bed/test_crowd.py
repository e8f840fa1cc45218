"""Pods that are only their status, as the benches have them: they are rolled out by the real controllers."""

import urllib.request

import pytest

from bench.converge import by_a_bare_loop
from bench.stock import namespace_of
from bench.unconfigured import PODS, unconfigured

pytestmark = pytest.mark.bed

CONFIGURED = "model.aibrix.ai/engine=vllm"
"""What the patch puts on the pods."""


def test_models_are_rolled_out_and_answer_at_the_addresses_of_their_pods() -> None:
    with unconfigured(10) as scene:
        by_a_bare_loop(scene)
        pods = scene.plane.api.list("pods", namespace_of(0), labels=CONFIGURED)
        assert len(pods) == 10 * PODS
        addresses = {pod["status"]["podIP"] for pod in pods}
        assert len(addresses) == len(pods), "each has its own"
        url = f"http://{addresses.pop()}:{scene.ports.http}/version"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert b"0.16.0" in answer.read()
