"""What one scrape says, read back by the library's own parser."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from adapters.scrapes import FULL, families, full_scrape, repair, series
from kvsync.adapters.metrics import Metrics, Result
from kvsync.model.decision import Deed, Kind
from kvsync.model.metering import Counts, ModelName, Reading, Standing, Vitals, Worker
from testbed.promtool.run import check_scrape


def test_every_figure_of_a_model_stands_under_its_name() -> None:
    found = {key: value for key, value in series(full_scrape()).items() if "my-model" in key}
    name = ("my-model", "default")
    assert found == {
        ("kvsync_messages_total", *name): 1,
        ("kvsync_received_bytes_total", *name): 2,
        ("kvsync_events_total", *name, "BlockStored"): 3,
        ("kvsync_events_total", *name, "BlockRemoved"): 4,
        ("kvsync_events_total", *name, "AllBlocksCleared"): 5,
        ("kvsync_events_total", *name, "Unknown"): 6,
        ("kvsync_missing_batches_total", *name): 7,
        ("kvsync_undecodable_messages_total", *name): 8,
        ("kvsync_engine_restarts_total", *name): 9,
        ("kvsync_sources", *name): 3,
        ("kvsync_sources_verified", *name): 2,
        ("kvsync_sources_relayed", *name): 1,
        ("kvsync_batches_per_second", *name): 1.5,
        ("kvsync_last_event_age_seconds", *name): 10,
        ("kvsync_quietest_source_age_seconds", *name): 20,
        ("kvsync_lag_max_seconds", *name): 0.25,
        ("kvsync_lag_mean_seconds", *name): 0.125,
        ("kvsync_source_verdicts", *name, "Idle"): 2,
        ("kvsync_source_verdicts", *name, "PortClosed"): 1,
    }


def test_objects_and_their_conditions_are_told() -> None:
    found = series(full_scrape())
    assert found["kvsync_objects",] == 2
    assert found["kvsync_objects_ready",] == 1
    assert found["kvsync_condition", "kv", "default", "Synchronized", "Ready"] == 1


def test_where_an_objects_models_stand_is_told() -> None:
    found = series(full_scrape())
    assert found["kvsync_models", "kv", "default", "Ready"] == 3
    assert found["kvsync_models", "kv", "default", "Pending"] == 2
    assert found["kvsync_wave_models", "kv", "default", "now"] == 1
    assert found["kvsync_wave_models", "kv", "default", "next"] == 2
    assert found["kvsync_contended_workloads", "kv", "default"] == 1


def test_the_operators_own_work_is_counted() -> None:
    found = series(full_scrape())
    assert found["kvsync_reconcile_duration_seconds_count",] == 1
    assert found["kvsync_reconciles_total", "changed"] == 1
    assert found["kvsync_queue_length",] == 4
    assert found["kvsync_queue_oldest_age_seconds",] == 1.5
    assert found["kvsync_queue_adds_total",] == 20
    assert found["kvsync_queue_retries_total",] == 3
    assert found["kvsync_reconcile_longest_running_seconds",] == 0.5
    assert found["kvsync_kubernetes_events_total",] == 6
    assert found["kvsync_kubernetes_events_dropped_total",] == 2
    assert found["kvsync_watch_healthy", "pods"] == 1
    assert found["kvsync_watch_silence_seconds", "pods"] == 30
    assert found["kvsync_watch_lists_total", "pods"] == 1
    assert found["kvsync_event_loop_lag_seconds_count",] == 1


def test_requests_are_counted_and_timed() -> None:
    found = series(full_scrape())
    assert found["kvsync_api_requests_total", "200", "PATCH"] == 1
    assert found["kvsync_api_requests_total", "error", "LIST"] == 1
    assert found["kvsync_api_request_duration_seconds_sum", "LIST"] == 5
    assert found["kvsync_api_request_duration_seconds_count", "PATCH"] == 1


def test_what_is_written_is_counted_by_what_it_did() -> None:
    metrics, action = Metrics(), repair()
    metrics.note_patch(action)
    metrics.note_patch(replace(action, reason=Deed.ROLLED_BACK, counted=False))
    metrics.note_patch(replace(action, reason=Deed.RETAINED, counted=False, restarts=False))
    metrics.note_patch(
        replace(action, reason=Deed.POD_REPLACED, kind=Kind.POD, evicts="u", restarts=False)
    )
    metrics.note_status("KVEventSync")
    found = series(metrics.text(Reading(), (), Vitals()))
    assert found["kvsync_patches_total", "Pod", "PodReplaced"] == 1
    assert found["kvsync_patches_total", "Deployment", "Repaired"] == 1
    assert found["kvsync_patches_total", "Deployment", "Retained"] == 1
    assert found["kvsync_patches_total", "KVEventSync", "Status"] == 1
    assert found["kvsync_repairs_total",] == 1
    assert found["kvsync_rollbacks_total",] == 1
    assert {key[1]: n for key, n in found.items() if key[0] == "kvsync_rollouts_total"} == {
        "Repaired": 1,
        "RolledBack": 1,
    }


def test_counts_that_alerts_stand_on_begin_at_zero() -> None:
    """``increase()`` sees the first one only where 0 was told before it."""
    found = series(Metrics().text(Reading(), (), Vitals()))
    assert found["kvsync_rollbacks_total",] == 0
    for result in Result:
        assert found["kvsync_reconciles_total", result.value] == 0


def test_its_processes_cost_is_told() -> None:
    found = series(full_scrape())
    own = found["process_resident_memory_bytes",]
    worker = found["kvsync_probe_worker_resident_memory_bytes", "0"]
    assert own > 1 << 20
    # The "worker" is this very process.
    assert abs(own - worker) < 16 << 20
    assert found["kvsync_probe_worker_cpu_seconds_total", "0"] > 0
    assert found["kvsync_probe_worker_open_fds", "0"] > 2
    assert found["kvsync_probe_worker_restarts_total", "0"] == 2


def test_a_worker_that_is_gone_shows_its_restarts_only() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    found = series(Metrics().text(Reading(), [Worker("0", pid, 1)], Vitals()))
    assert [key for key in found if key[0].startswith("kvsync_probe_worker")] == [
        ("kvsync_probe_worker_restarts_total", "0")
    ]


def test_a_model_that_is_gone_has_no_series_and_an_unknown_figure_none_either() -> None:
    metrics = Metrics()
    metrics.text(FULL, (), Vitals())
    bare = {ModelName("default", "other"): (Counts(), Standing())}
    found = series(metrics.text(Reading(bare), (), Vitals()))
    assert not [key for key in found if "my-model" in key]
    assert ("kvsync_lag_max_seconds", "other", "default") not in found
    assert found["kvsync_sources", "other", "default"] == 0


def test_prometheus_finds_its_conventions_kept() -> None:
    check_scrape(full_scrape())
    with pytest.raises(RuntimeError, match="counter metrics should have"):
        check_scrape(b"# HELP x X.\n# TYPE x counter\nx 1\n")


def test_a_family_is_written_once_with_a_type_and_a_text() -> None:
    text = full_scrape()
    for name, family in families(text).items():
        assert text.count(f"# TYPE {name} ".encode()) == 1, name
        assert family.documentation.endswith("."), name
    assert b"_created" not in text
