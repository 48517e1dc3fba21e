"""What a folder is read as: all that is in it, whatever state a file is in; the names of dashboards for Celery."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from taskbridge.observe.metrics.folder import Folder
from taskbridge.observe.metrics.series import EVERY, TRIPS

from .folders import a_python, ran

#: One message of each fate, on two queues of two backends.
FATES = """
from taskbridge import events
told = dict(id="m", task="app.send")
for backend in ("memory", "other"):
    for queue in ("mail", "urgent"):
        told |= {"queue": queue, "backend": backend}
        for event in (
            events.Sent(**told), events.Received(**told),
            events.Started(**told, waited_ms=20, parked_ms=9, parked_for="lock"),
            events.Succeeded(**told, ran_ms=300), events.Failed(**told, ran_ms=3, error=OSError()),
            events.Failed(**told, ran_ms=3, error=ValueError()), events.Retried(**told, ran_ms=3, why="OSError: no"),
            events.Retried(**told, ran_ms=3, why="KeyError: no"), events.Retried(**told, counted=False, ran_ms=3),
            events.Dropped(**told, how="expired"), events.Dropped(**told, how="skipped"),
            events.ParkedForRelease(**told), events.Buried(**told), events.Waiting(**told, how="locked"),
            events.Repeated(**told, verdict="settled"), events.ClaimRefused(**told), events.Shadowed(**told, how="ran"),
        ):
            bridge.events.emit(event)
"""

#: The names of issue 5 with exactly their labels; backend and broker are in addition.
CELERY = {
    **{
        f"celery_task_{of}_total": {"name", "hostname", "queue_name"}
        for of in ("sent", "received", "started", "succeeded", "rejected", "revoked", "retried")
    },
    "celery_task_failed_total": {"name", "hostname", "queue_name", "exception"},
    **{
        f"celery_task_{of}{suffix}": {"name", "hostname", "queue_name"} | ({"le"} if suffix == "_bucket" else set())
        for of in ("runtime", "queue_wait_time")
        for suffix in ("_bucket", "_sum", "_count")
    },
}


def read(folder: Path, hostname: str = "") -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Folder(str(folder), hostname))
    return registry


def test_celery_names_have_exactly_their_labels(tmp_path: Path):
    """And backend and broker; nothing else begins with celery."""
    ran(a_python(tmp_path, FATES))

    found = {
        one.name: set(one.labels)
        for family in read(tmp_path, "here").collect()
        for one in family.samples
        if one.name.startswith("celery_")
    }

    assert {name: labels | {"backend", "broker"} for name, labels in CELERY.items()} == found


def test_celery_names_count_what_ours_count(tmp_path: Path):
    """Over the labels that they do not have, sums; a run time is of a task that returned, a retry one that failed."""
    ran(a_python(tmp_path, FATES))
    registry = read(tmp_path, "here")
    labels = {"name": "app.send", "hostname": "here", "queue_name": "mail", "backend": "memory", "broker": "memory"}

    counts = {
        name.removeprefix("celery_task_"): registry.get_sample_value(name, labels)
        for name, those in CELERY.items()
        if those == {"name", "hostname", "queue_name"}
    }

    assert {
        **dict.fromkeys(("sent_total", "received_total", "started_total", "succeeded_total"), 1),
        **dict.fromkeys(("rejected_total", "revoked_total", "retried_total"), 2),
        **dict.fromkeys(("runtime_count", "queue_wait_time_count"), 1),
        "runtime_sum": 0.3,
        "queue_wait_time_sum": 0.02,
    } == counts
    assert 1 == registry.get_sample_value("celery_task_failed_total", {**labels, "exception": "OSError"})
    assert (0, 1) == tuple(
        registry.get_sample_value("celery_task_runtime_bucket", {**labels, "le": le}) for le in ("0.25", "0.5")
    )


def test_celery_names_are_asked_for(tmp_path: Path):
    """Without, there are none: they would be each series twice."""
    ran(a_python(tmp_path, FATES))

    assert "celery_" not in generate_latest(read(tmp_path)).decode()


def test_the_folder_says_what_the_process_said(tmp_path: Path):
    """Every series by prometheus_client's reading of the files is what the process that wrote them has in memory."""
    print_own = "from prometheus_client import generate_latest\nfrom taskbridge.observe.metrics import LEDGER\n"
    own = ran(a_python(tmp_path, f"{FATES}\n{print_own}print(generate_latest(LEDGER).decode())"))

    ours = {f"{series.name}{'' if series.bounds_s else '_total'}" for series in EVERY if series is not TRIPS}
    assert ours == {name for name in ours if f"# TYPE {name} " in own}
    assert _lines(own) == _lines(generate_latest(read(tmp_path)).decode())


@pytest.mark.parametrize("content", [b"", b"\x40\x00\x00\x00" + b"\xff" * 200, b"\x00" * 65_536])
def test_a_file_that_cannot_be_read_hides_no_other(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture):
    """One just made and still empty, one of a disk that was full, one without an entry."""
    ran(a_python(tmp_path, "count(3)"))
    (tmp_path / "counter_taskbridge-7.db").write_bytes(content)

    text = generate_latest(read(tmp_path)).decode()

    assert 'taskbridge_sent_total{backend="memory",broker="memory",queue="mail",task="app.send"} 3.0' in text
    assert (b"\xff" in content) == ("taskbridge-7.db is left out" in caplog.text)


def test_a_folder_without_files_is_no_error(tmp_path: Path):
    """Nothing was counted yet."""
    assert b"" == generate_latest(read(tmp_path))
    assert ["taskbridge.seats"] == os.listdir(tmp_path)


def _lines(text: str) -> set[str]:
    """The samples of ours; a process's own registry may have samples of itself, too."""
    return {line for line in text.splitlines() if line.startswith("taskbridge_")}
