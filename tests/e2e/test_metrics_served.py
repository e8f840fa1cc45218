"""A running operator tells of itself and its models over HTTP."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from adapters.scrapes import series
from chart.alerting import check_firing
from e2e.manifests import model, sync
from e2e.scene import OperatorProcess, Scene
from testbed.promtool.run import check_scrape

pytestmark = pytest.mark.bed

Start = Callable[..., OperatorProcess]


class Pages:
    """An operator's pages."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def scrape(self) -> bytes:
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=5) as answer:
            return bytes(answer.read())

    def figure(self, *key: str) -> float | None:
        return series(self.scrape()).get(key)


@pytest.fixture
def pages(scene: Scene, start_operator: Start) -> Pages:
    served = Pages()
    start_operator("--metrics-address", served.address)
    scene.wait("ready", lambda: served.status("/readyz") == 200)
    return served


def test_the_pages_follow_the_main_job(scene: Scene, pages: Pages, tmp_path: Path) -> None:
    assert pages.status("/healthz") == 200
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    ready = ("kvsync_condition", "kv", scene.namespace, "Synchronized", "Ready")
    scene.wait("Ready in metrics", lambda: pages.figure(*ready) == 1)
    assert (pages.figure("kvsync_api_requests_total", "200", "PATCH") or 0) >= 3
    assert (pages.figure("kvsync_api_requests_total", "200", "WATCH") or 0) >= 2
    assert (pages.figure("kvsync_reconcile_duration_seconds_count") or 0) >= 3
    assert (pages.figure("process_resident_memory_bytes") or 0) > 1 << 20
    assert pages.figure("kvsync_patches_total", "Deployment", "Configured") == 1
    assert pages.figure("kvsync_rollouts_total", "Configured") == 1
    assert (pages.figure("kvsync_patches_total", "KVEventSync", "Status") or 0) >= 1
    assert (pages.figure("kvsync_reconciles_total", "changed") or 0) >= 2
    assert pages.figure("kvsync_reconciles_total", "failed") == 0
    assert pages.figure("kvsync_models", "kv", scene.namespace, "Ready") == 1
    assert (pages.figure("kvsync_kubernetes_events_total") or 0) >= 1
    assert (pages.figure("kvsync_event_loop_lag_seconds_count") or 0) >= 1
    for watch in ("deployments", "pods", "namespaces"):
        assert pages.figure("kvsync_watch_healthy", watch) == 1
    check_scrape(pages.scrape())
    check_firing(tmp_path, pages.scrape())  # its engine is idle: that is no reason for an alert

    scene.create(sync("nobody", scene.namespace, "nobody"))
    scene.wait(
        "Stalled in metrics",
        lambda: b'type="Stalled",reason="NoSuchDeployment"} 1' in pages.scrape(),
    )
    check_firing(tmp_path, pages.scrape(), "KVSyncStalled")
    scene.delete_sync("nobody")

    scene.delete_sync("kv")
    scene.wait("series gone", lambda: pages.figure(*ready) is None)


def test_what_is_seen_of_a_model_is_told(scene: Scene, pages: Pages) -> None:
    scene.create(model("m", scene.namespace, replicas=2))
    scene.wait_available("m")
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    of_model = partial(pages.figure, "kvsync_sources_verified", "m", scene.namespace)
    scene.wait("2 verified sources", lambda: of_model() == 2)
    assert pages.figure("kvsync_sources", "m", scene.namespace) == 2
    assert (pages.figure("kvsync_probe_worker_resident_memory_bytes", "0") or 0) > 1 << 20


def test_an_operator_that_stops_while_a_page_is_asked_for_ends_well(
    scene: Scene, start_operator: Start
) -> None:
    served = Pages()
    operator = start_operator("--metrics-address", served.address)
    scene.wait("ready", lambda: served.status("/readyz") == 200)
    host, port = served.address.split(":")
    with socket.create_connection((host, int(port))) as held:
        held.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert operator.stop() == 0
    assert served.status("/healthz") == 0
