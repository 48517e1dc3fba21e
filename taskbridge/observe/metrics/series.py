"""The series of what processes do: names, labels, buckets. Seconds throughout."""

from __future__ import annotations

from dataclasses import dataclass

#: Of every series about a task.
LABELS = ("backend", "broker", "queue", "task")

#: Run times. Those from 0.005 to 10 are prometheus_client's own, which dashboards for Celery know; a task without I/O
#: takes less, a report or an export more.
RUN_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 1800)

#: Waits. A worker that keeps up begins within 10 ms; behind a peak they grow to hours.
WAIT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)

#: Round trips. One on the same machine takes 0.1 ms, one to the next zone 1 ms; at 5 s a call has failed.
TRIP_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)


@dataclass(frozen=True, slots=True)
class Series:
    """One name; ``label`` is what it has beside ``labels``, ``bounds_s`` are the buckets of a histogram."""

    name: str
    help: str
    label: str = ""
    labels: tuple[str, ...] = LABELS
    bounds_s: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """``counter`` or ``histogram``."""
        return "histogram" if self.bounds_s else "counter"

    @property
    def label_names(self) -> tuple[str, ...]:
        """All of them, in the order of their values."""
        return (*self.labels, self.label) if self.label else self.labels


SENT = Series("taskbridge_sent", "Messages enqueued, or made by the store.")
RECEIVED = Series("taskbridge_received", "Copies that a worker has taken and asked the store about.")
STARTED = Series("taskbridge_started", "Attempts begun.")
SUCCEEDED = Series("taskbridge_succeeded", "Tasks that have returned.")
FAILED = Series("taskbridge_failed", "Messages that went to the dead letters.", "exception")
RETRIED = Series("taskbridge_retried", "Failed attempts that are made again.", "exception")
RESCHEDULED = Series("taskbridge_rescheduled", "Runs that ended by asking for a later one, no attempt spent.")
REJECTED = Series("taskbridge_rejected", "Messages that this release cannot run or read.", "reason")
REVOKED = Series("taskbridge_revoked", "Messages that ended without a result.", "how")
REPEATS = Series("taskbridge_repeats", "Copies recognised and not run.", "verdict")
REFUSED = Series("taskbridge_claims_refused", "Results that came when another worker had the claim.")
SHADOWS = Series("taskbridge_shadows", "Copies that shadows send to be compared.", "how")
PARKED = Series("taskbridge_parked", "Messages put aside to wait for a lock or a limit.", "for")
RUN = Series("taskbridge_run_seconds", "How long attempts ran.", "outcome", bounds_s=RUN_S)
QUEUE = Series("taskbridge_queue_seconds", "How long messages that were due waited for a worker.", bounds_s=WAIT_S)
PARKED_FOR = Series("taskbridge_parked_seconds", "How long they waited for it.", "for", bounds_s=WAIT_S)
TRIPS = Series("taskbridge_store_trip_seconds", "How long the store took to answer.", labels=(), bounds_s=TRIP_S)

EVERY = (
    *(SENT, RECEIVED, STARTED, SUCCEEDED, FAILED, RETRIED, RESCHEDULED, REJECTED, REVOKED, REPEATS, REFUSED, PARKED),
    *(SHADOWS, RUN, QUEUE, PARKED_FOR, TRIPS),
)
