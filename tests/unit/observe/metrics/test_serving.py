"""What is served for a worker: facts as series, beside whatever can be read of store and broker."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from taskbridge.errors import ConfigError
from taskbridge.observe.facts import Facts, Group
from taskbridge.observe.metrics.seats import FOLDER
from taskbridge.observe.metrics.serving import Stored, folder
from taskbridge.observe.metrics.worker import WorkerSeries

FACTS = Facts(
    groups={
        "high": Group(wanted=2, alive=1, active=1, busy_s=7.5, utilisation=0.25),
        "low": Group(wanted=4, alive=4, active=0, busy_s=0.0, utilisation=0.0),
    },
    replaced={("high", "crash"): 3},
    leads=True,
)


def registry_of(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def test_without_any_folder_that_can_be_written_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch):
    """A container whose file system is read-only has none for temporary files."""
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/no/such/folder"])

    with pytest.raises(ConfigError, match=f"No usable temporary directory .*; name one by {FOLDER}"), folder():
        pass


def test_facts_are_series_by_group():
    """Each fact is one sample; a worker that asks for none of Celery's names has none."""
    read = registry_of(WorkerSeries(lambda: FACTS)).get_sample_value

    assert (2, 1) == tuple(
        read("taskbridge_worker_processes", {"group": "high", "state": state}) for state in ("wanted", "alive")
    )
    assert (1, 0.25, 7.5) == tuple(
        read(f"taskbridge_worker_{name}", {"group": "high"}) for name in ("active", "utilisation", "busy_seconds_total")
    )
    assert 3 == read("taskbridge_worker_replaced_total", {"group": "high", "reason": "crash"})
    assert (1, 1) == (read("taskbridge_worker_up"), read("taskbridge_relay_leads"))
    assert read("celery_worker_up", {"hostname": "here"}) is None


def test_celery_names_of_a_worker():
    """Its host, and all that runs."""
    read = registry_of(WorkerSeries(lambda: FACTS, "here")).get_sample_value

    assert (1, 1) == tuple(read(f"celery_worker_{name}", {"hostname": "here"}) for name in ("up", "tasks_active"))


def test_gauges_that_fail_hide_no_other_series(caplog: pytest.LogCaptureFixture):
    """The fault is logged; while there is no store to look at there is nothing."""

    class Broken(Collector):
        def collect(self) -> Iterator[Metric]:
            raise ValueError("a fault of ours")

    assert registry_of(Stored(Broken)).get_sample_value("taskbridge_store_up") is None
    assert "a fault of ours" in caplog.text
    assert registry_of(Stored(lambda: None)).get_sample_value("taskbridge_store_up") is None
