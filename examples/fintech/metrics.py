"""What a worker told Prometheus at the end of a run, beside what the workload counted itself: ``make demo METRICS=1``.

Both engines must have the same names with the same labels, and each count must be the other's.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.request import urlopen

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

#: How long one scrape may take, seconds: as long as Prometheus waits.
SCRAPE_S = 10.0

#: How long until a worker is asked again, seconds.
POLL_S = 0.2

#: Whose series are compared; a process of Python has others.
OURS = ("taskbridge_", "celery_")

#: Of which tasks nothing is counted: the one that only says that a worker is there, and the one that no worker knows.
LEFT_OUT = (".hello", ".hello_of_tomorrow")

#: Of chunked runs, while they are under way.
OF_A_RUN = ("taskbridge_run_done", "taskbridge_run_open", "taskbridge_run_state")

#: What happens in each run of the workload, and once more in ``seldom``, so that no engine may be without it.
ALWAYS = {
    *(f"taskbridge_{of}_total" for of in ("sent", "received", "started", "succeeded")),
    *(f"taskbridge_{of}_total" for of in ("failed", "retried", "rescheduled", "parked")),
    *(f"taskbridge_{of}_total" for of in ("rejected", "revoked", "repeats", "worker_replaced")),
    *(f"taskbridge_{of}_seconds" for of in ("run", "queue", "parked", "store_trip")),
    *(f"taskbridge_worker_{of}" for of in ("up", "processes", "active", "utilisation", "busy_seconds_total")),
    *(f"taskbridge_relay_{of}" for of in ("leads", "leader", "lag_seconds")),
    *(f"taskbridge_queue_{of}" for of in ("length", "oldest_age_seconds", "workers", "processes")),
    *(f"taskbridge_{of}" for of in ("delayed", "ready", "lock_waiting", "throttled", "held", "dead", "claims")),
    *(f"taskbridge_{of}" for of in ("store_up", "broker_up", "live_workers", "live_processes", "batches_open")),
    *(f"taskbridge_limit_{of}" for of in ("per_second", "waiting", "keys")),
    *OF_A_RUN,
    *(f"celery_{of}" for of in ("queue_length", "active_consumer_count", "active_worker_count")),
    "celery_active_process_count",
    *(f"celery_task_{of}_total" for of in ("sent", "received", "started", "succeeded", "failed", "retried")),
    *(f"celery_task_{of}_total" for of in ("rejected", "revoked")),
    *("celery_task_runtime", "celery_task_queue_wait_time", "celery_worker_up", "celery_worker_tasks_active"),
}


#: The last chunk of a run finds that nothing is left, and has no effect: one of the import's, one of the reports'.
WITHOUT_EFFECT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the workload knows: messages that had their effect, dead letters, and what its own listener wrote down."""

    effective: int
    dead: int
    retried: int
    rescheduled: int
    locked: int
    throttled: int

    def expected(self) -> dict[str, int]:
        """What the series must say."""
        succeeded = self.effective + WITHOUT_EFFECT
        return {
            "taskbridge_sent_total": succeeded + self.dead,
            "taskbridge_succeeded_total": succeeded,
            "taskbridge_failed_total": self.dead,
            "taskbridge_dead": self.dead,
            "taskbridge_retried_total": self.retried,
            "taskbridge_rescheduled_total": self.rescheduled,
            'taskbridge_parked_total{for="lock"}': self.locked,
            'taskbridge_parked_total{for="limit"}': self.throttled,
            "taskbridge_started_total": succeeded + self.dead + self.retried + self.rescheduled,
        }


@dataclass(slots=True)
class Told:
    """What one scrape has said: the labels of each name, and sums."""

    labels: dict[str, set[str]] = field(default_factory=dict)
    sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def is_whole(self) -> bool:
        """Whether all that must be there has come, and the relay leads again after the reload."""
        return self.labels.keys() >= ALWAYS and self.sums["taskbridge_relay_leads"] > 0

    def faults(self, counts: Counts) -> Iterator[str]:
        """Say where the sums are not what the workload has counted."""
        for name, number in counts.expected().items():
            if self.sums[name] != number:
                yield f"{name} is {self.sums[name]:,.0f}, and the workload has counted {number:,}"


def scrape(address: str) -> Told:
    """Ask a worker."""
    with urlopen(f"http://{address}/metrics", timeout=SCRAPE_S) as answer:
        return read(answer.read().decode())


def read(text: str) -> Told:
    """Read what Prometheus reads. What is of no account is not summed up, as everywhere here."""
    from prometheus_client.parser import text_string_to_metric_families  # only who asks for metrics has it

    told = Told()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = family.name if family.type == "histogram" else sample.name
            if name.startswith(OURS):
                labels = sample.labels
                told.labels.setdefault(name, set()).update(labels.keys() - {"le"})
                if not labels.get("task", "").endswith(LEFT_OUT) and not sample.name.endswith(("_bucket", "_sum")):
                    told.sums[name] += sample.value
                    if "for" in labels:
                        told.sums[f'{name}{{for="{labels["for"]}"}}'] += sample.value
    return told


class Scrapes:
    """What a worker told while it worked: what is there only then is kept for the end.

    Args:
        address: of the worker.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._labels: dict[str, set[str]] = {}

    def during(self) -> None:
        """Look whether a run is under way, until one was seen."""
        if not self._labels:
            told = scrape(self._address)
            self._labels = {name: told.labels[name] for name in OF_A_RUN if name in told.labels}

    def end(self, deadline_s: float) -> Told:
        """Ask until it is whole, or until this instant of the monotonic clock; returns what came last."""
        while True:
            told = scrape(self._address)
            told.labels = self._labels | told.labels
            if told.is_whole or time.monotonic() > deadline_s:
                return told
            time.sleep(POLL_S)


def differences(runs: Mapping[str, Told]) -> Iterator[str]:
    """Say what one engine tells and another does not, and under which labels."""
    for name in sorted({name for told in runs.values() for name in told.labels} | ALWAYS):
        missing = [backend for backend, told in runs.items() if name not in told.labels]
        if missing and name in ALWAYS:
            yield f"{name} is missing on {' and '.join(missing)}"
        labels = {tuple(sorted(told.labels[name])) for told in runs.values() if name in told.labels}
        if len(labels) > 1:
            yield f"{name} has other labels on each engine: {labels}"


def show(console: Console, runs: Mapping[str, Told]) -> None:
    """Print a row per name of ours: its labels, and what each engine's sum is; of a histogram, how many it counted."""
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in ("series", *runs):
        table.add_column(heading, justify="left" if heading == "series" else "right", no_wrap=True)
    for name in _names(runs.values()):
        table.add_row(name, *(_shown(told.sums[name]) if name in told.labels else "-" for told in runs.values()))
    console.print(table)
    renamed = len({name for told in runs.values() for name in told.labels if name.startswith("celery_")})
    console.print(f"{renamed} of them also under the names of dashboards for Celery.")


def _names(runs: Iterable[Told]) -> Sequence[str]:
    return sorted({name for told in runs for name in told.labels if name.startswith("taskbridge_")})


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
