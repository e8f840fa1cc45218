"""What one scrape says, read back by the library's own parser."""

from __future__ import annotations

import os

from adapters.scrapes import FULL, families, full_scrape, series
from kvsync.adapters.metrics import Metrics
from kvsync.model.metering import Counts, ModelName, Reading, Standing, Worker


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


def test_the_operators_own_work_is_counted() -> None:
    found = series(full_scrape())
    assert found["kvsync_reconcile_duration_seconds_count",] == 1
    assert found["kvsync_reconcile_errors_total",] == 1
    assert found["kvsync_queue_length",] == 4
    assert found["kvsync_api_requests_total", "200", "PATCH"] == 1
    assert found["kvsync_api_requests_total", "error", "LIST"] == 1


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
    found = series(Metrics().text(Reading(), [Worker("0", pid, 1)], 0))
    assert [key for key in found if key[0].startswith("kvsync_probe_worker")] == [
        ("kvsync_probe_worker_restarts_total", "0")
    ]


def test_a_model_that_is_gone_has_no_series_and_an_unknown_figure_none_either() -> None:
    metrics = Metrics()
    metrics.text(FULL, (), 0)
    bare = {ModelName("default", "other"): (Counts(), Standing())}
    found = series(metrics.text(Reading(bare), (), 0))
    assert not [key for key in found if "my-model" in key]
    assert ("kvsync_lag_max_seconds", "other", "default") not in found
    assert found["kvsync_sources", "other", "default"] == 0


def test_a_family_is_written_once_with_a_type_and_a_text() -> None:
    text = full_scrape()
    for name, family in families(text).items():
        assert text.count(f"# TYPE {name} ".encode()) == 1, name
        assert family.documentation.endswith("."), name
    assert b"_created" not in text
