"""What is counted of what happens: a law per event, on real deliveries, and what a label may be."""

from __future__ import annotations

import sys
from threading import Thread
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from taskbridge import Drop, Lock, Reschedule, events
from taskbridge.clock import SystemClock
from taskbridge.copies import copy_of
from taskbridge.message import Shadow
from taskbridge.observe.metrics.ledger import Ledger
from taskbridge.observe.metrics.listener import Listener
from taskbridge.observe.metrics.rows import MOST_ROWS, MOST_WORDS
from taskbridge.observe.metrics.trips import Trips
from taskbridge.testing import a_message
from taskbridge.testing.fakes import NOON_MS

from ...deliveries import AT_ONCE, Stage, raising

OF_ALL = {"backend": "memory", "broker": "memory", "queue": "mail", "task": "tests.send"}


class Counted:
    """A ledger of this test, and what it says."""

    def __init__(self, stage: Stage) -> None:
        self.ledger = Ledger()
        self.registry = CollectorRegistry()
        self.registry.register(self.ledger)
        stage.bridge.events.subscribe(Listener(stage.bridge, self.ledger))

    def __call__(self, name: str, **more: str) -> float:
        """A sample of the task; 0 for one that is not there."""
        return self.registry.get_sample_value(f"taskbridge_{name}", {**OF_ALL, **more}) or 0.0

    def labels(self, name: str, label: str) -> set[str]:
        """All values that a label of a series has."""
        return {one.labels[label] for family in self.registry.collect() for one in family.samples if one.name == name}


@pytest.fixture
def counted(stage: Stage) -> Counted:
    return Counted(stage)


def test_a_task_that_returns_is_received_started_and_succeeded(stage: Stage, counted: Counted):
    """Once each; its run and its wait are in the buckets where they belong, in seconds."""

    @stage.bridge.task(name="tests.send", queue="mail")
    def send() -> None:
        stage.clock.advance(0.02)

    message = a_message(enqueued_at_ms=NOON_MS)
    stage.clock.advance(3)
    stage.run(message)

    assert [1, 1, 1] == [counted(f"{name}_total") for name in ("received", "started", "succeeded")]
    assert (0, 1) == tuple(counted("run_seconds_bucket", outcome="succeeded", le=le) for le in ("0.01", "0.025"))
    assert (0, 1) == tuple(counted("queue_seconds_bucket", le=le) for le in ("2.5", "5.0"))
    assert (1, 20) == (
        counted("run_seconds_count", outcome="succeeded"),
        round(1000 * counted("run_seconds_sum", outcome="succeeded")),
    )
    assert (1, 3) == (counted("queue_seconds_count"), counted("queue_seconds_sum"))
    assert 0 == counted("failed_total", exception="OSError")


def test_a_bound_belongs_to_its_bucket(stage: Stage, counted: Counted):
    """As Prometheus has it: less than or equal."""
    for ms in (1, 1.1):
        stage.bridge.events.emit(events.Succeeded(id="m", task="tests.send", queue="mail", backend="memory", ran_ms=ms))

    assert (1, 2, 2) == tuple(
        counted("run_seconds_bucket", outcome="succeeded", le=le) for le in ("0.001", "0.005", "+Inf")
    )


def test_failures_are_counted_by_their_exception(stage: Stage, counted: Counted):
    """Attempts that are made again as retried, the last one as failed, each with its run."""

    @stage.bridge.task(name="tests.send", queue="mail", retry=AT_ONCE)
    def send() -> None:
        stage.clock.advance(1)
        raise OSError("no route")

    copy = message = a_message()
    for _ in range(2):
        stage.run(copy)
        copy = stage.copy(message)
        stage.bridge.store.outbox.mark([(copy.id, copy.seq)])
    stage.run(copy)

    assert (2, 1) == (counted("retried_total", exception="OSError"), counted("failed_total", exception="OSError"))
    assert (2, 1) == tuple(counted("run_seconds_count", outcome=outcome) for outcome in ("retried", "failed"))
    assert (3, 0) == (counted("started_total"), counted("succeeded_total"))


def test_what_asks_for_a_later_run_is_no_failure(stage: Stage, counted: Counted):
    """Rescheduled, and neither retried nor failed."""
    raising(stage, Reschedule(5))
    stage.run(a_message())

    assert (1, 0) == (counted("rescheduled_total"), counted("retried_total", exception="Reschedule"))


def test_what_came_too_early_has_neither_begun_nor_waited(stage: Stage, counted: Counted):
    """A native producer has delayed it: it was received, and is counted as begun when its time has come."""
    stage.bridge.task(name="tests.send", queue="mail")(lambda: None)
    message = a_message(engine="celery", due_at_ms=NOON_MS + 90_000)

    stage.run(message)
    early = [counted(name) for name in ("received_total", "started_total", "rescheduled_total", "queue_seconds_count")]
    stage.clock.advance(90)
    stage.run(stage.copy(message))

    assert [1, 0, 0, 0] == early
    assert (2, 1, 1) == tuple(counted(name) for name in ("received_total", "started_total", "queue_seconds_count"))
    assert set() == counted.labels("taskbridge_parked_total", "for")


def test_what_is_dropped_is_revoked(stage: Stage, counted: Counted):
    """By how: of its own wish, or not begun in time."""
    raising(stage, Drop("no use"))
    stage.run(a_message())
    stage.run(a_message(expires_at_ms=NOON_MS - 1))

    assert (1, 1) == tuple(counted("revoked_total", how=how) for how in ("dropped", "expired"))


def test_copies_of_shadows_are_no_messages(stage: Stage, counted: Counted):
    """They are counted apart, by what became of them, and as nothing else."""
    stage.bridge.task(name="tests.send", queue="mail", shadow_safe=True)(lambda: None)
    original = a_message(shadow=Shadow(rule="s1"), enqueued_at_ms=NOON_MS)
    stage.run(original)
    for _ in range(2):
        stage.run(copy_of(original, "s1"))

    assert (1, 1) == tuple(counted("shadows_total", how=how) for how in ("ran", "unrun"))
    assert (1, 1, 1) == tuple(counted(f"{name}_total") for name in ("received", "started", "succeeded"))


def test_a_copy_of_what_is_done_is_a_repeat(stage: Stage, counted: Counted):
    """Received, recognised, not started."""
    stage.bridge.task(name="tests.send", queue="mail")(lambda: None)
    message = a_message()
    stage.run(message)
    stage.run(message, claim="another")

    assert (2, 1, 1) == (
        counted("received_total"),
        counted("started_total"),
        counted("repeats_total", verdict="settled"),
    )


def test_what_waits_for_a_lock_is_parked(stage: Stage, counted: Counted):
    """Counted when it is put aside; how long it was is counted when it starts, what was for a limit by itself."""
    held = a_message()

    @stage.bridge.task(name="tests.send", queue="mail", lock=Lock("all"))
    def send() -> None:
        if counted("started_total") == 1:
            stage.run(a_message(), claim="another")

    stage.run(held)
    who = {"id": "m", "task": "tests.send", "queue": "mail", "backend": "memory"}
    stage.bridge.events.emit(events.Started(**who, parked_ms=700, parked_for="lock"))
    stage.bridge.events.emit(events.Started(**who, parked_ms=1_000, parked_for="lock", throttled_ms=250))

    assert (1, 0) == tuple(counted("parked_total", **{"for": word}) for word in ("lock", "limit"))
    assert (2, 1.45) == tuple(counted(f"parked_seconds_{of}", **{"for": "lock"}) for of in ("count", "sum"))
    assert (1, 0.25) == tuple(counted(f"parked_seconds_{of}", **{"for": "limit"}) for of in ("count", "sum"))


def test_an_unknown_task_is_rejected(stage: Stage, counted: Counted):
    """It waits for a newer release; bytes that are no message are counted apart."""
    stage.run(a_message())
    stage.bridge.events.emit(events.Buried(id="m", task="", queue="mail", backend="memory"))

    assert (1, 1) == (
        counted("rejected_total", reason="unknown"),
        counted("rejected_total", reason="unreadable", task=""),
    )


def test_what_is_enqueued_is_sent(stage: Stage, counted: Counted):
    """One by one, and in bulk."""
    send = stage.bridge.task(name="tests.send", queue="mail", retry=AT_ONCE)(lambda: None)
    send.enqueue()
    send.enqueue_many({} for _ in range(10))

    assert 11 == counted("sent_total")


@pytest.mark.parametrize(
    ("why", "exception"),
    [
        ("failed 3 times: HardTimeout: hard timeout after 1 s", "HardTimeout"),
        ("its worker was lost 3 times", "WorkerLost"),
        ("its worker died or was away 6 times while running it", "WorkerLost"),
        ("gave up after 0:00:05: still not ready, begun 3 times", "none"),
    ],
)
def test_a_failure_without_its_exception_says_its_name(stage: Stage, counted: Counted, why: str, exception: str):
    """Of a child that was killed the supervisor has words only."""
    stage.bridge.events.emit(events.Failed(id="m", task="tests.send", queue="mail", backend="memory", why=why))

    assert 1 == counted("failed_total", exception=exception)


def test_labels_are_bounded(stage: Stage, counted: Counted):
    """Whoever can publish names tasks: beyond a number they are one row; a task that the code declares has its own."""
    stage.bridge.task(name="tests.send", queue="mail")(lambda: None)
    for n in range(MOST_ROWS + 50):
        received(stage, f"evil.{n}")
    received(stage, "tests.send")

    assert MOST_ROWS + 2 == len(counted.labels("taskbridge_received_total", "task"))
    assert 50 == counted("received_total", queue="other", task="other")
    assert 1 == counted("received_total")


def test_exceptions_are_bounded(stage: Stage, counted: Counted):
    """A class made for each failure is no reason for as many series."""
    for n in [*range(MOST_WORDS + 30), 0]:
        failed = {"id": "m", "task": "tests.send", "queue": "mail", "backend": "memory"}
        stage.bridge.events.emit(events.Failed(**failed, error=type(f"Odd{n}", (Exception,), {})()))

    assert MOST_WORDS + 1 == len(counted.labels("taskbridge_failed_total", "exception"))
    assert (2, 30) == (counted("failed_total", exception="Odd0"), counted("failed_total", exception="other"))


@pytest.mark.parametrize(
    "odd", ['quo"te', "back\\slash", "li\nne", "\x1b[31mred", "\ud800", "ключ", "{a=1}", "x" * 5_000]
)
def test_odd_names_are_labels_that_can_be_read(stage: Stage, counted: Counted, odd: str):
    """Whatever a task is called, the text of all series is what Prometheus reads, and no terminal is steered by it."""
    received(stage, odd)

    text = generate_latest(counted.registry).decode()

    (sample,) = (
        one
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name == "taskbridge_received_total"
    )
    assert 1 == sample.value
    assert sample.labels["task"].isprintable()
    assert 250 > len(sample.labels["task"])


def test_round_trips_are_timed(stage: Stage, counted: Counted):
    """Count and time, without labels."""
    trips = Trips(SystemClock(), counted.ledger)
    trips.end(trips.begin())

    assert 1 == counted.registry.get_sample_value("taskbridge_store_trip_seconds_count")


def received(stage: Stage, task: str, **more: Any) -> None:
    stage.bridge.events.emit(events.Received(id="m", task=task, queue="mail", backend="memory", **more))


def test_threads_lose_no_count(stage: Stage, counted: Counted):
    """Those of an engine's own command count in the same cells, and nobody waits for a lock."""
    each, told = 20_000, {"id": "m", "task": "tests.send", "queue": "mail", "backend": "memory"}
    trips, before = Trips(SystemClock(), counted.ledger), sys.getswitchinterval()

    def work() -> None:
        for _ in range(each):
            stage.bridge.events.emit(events.Started(**told, waited_ms=250))
            stage.bridge.events.emit(events.Succeeded(**told, ran_ms=250))
            trips.end(trips.begin())

    sys.setswitchinterval(1e-6)
    try:
        threads = [Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)

    assert [4 * each] * 2 == [counted(f"{name}_total") for name in ("started", "succeeded")]
    assert (4 * each, each) == (counted("queue_seconds_count"), counted("queue_seconds_sum"))
    assert (4 * each, each) == (
        counted("run_seconds_count", outcome="succeeded"),
        counted("run_seconds_sum", outcome="succeeded"),
    )
    assert 4 * each == counted.registry.get_sample_value("taskbridge_store_trip_seconds_count")
