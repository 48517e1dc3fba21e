"""The same numbers under the names and labels that dashboards and alerts for Celery know, for both engines.

Made of our series when they are read, so they cost the processes nothing. ``backend`` and ``broker`` are added: a sum
over them is what a dashboard shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import Metric

from .series import FAILED, QUEUE, RECEIVED, REJECTED, RETRIED, REVOKED, RUN, SENT, STARTED, SUCCEEDED, Series


@dataclass(frozen=True, slots=True)
class Renamed:
    """A name of Celery's. It counts the samples with the labels ``only``, and ``keeps`` these of ours as they are."""

    name: str
    only: tuple[tuple[str, str], ...] = ()
    keeps: tuple[str, ...] = field(default=("backend", "broker", "le"))


NAMES: dict[Series, Renamed] = {
    SENT: Renamed("celery_task_sent"),
    RECEIVED: Renamed("celery_task_received"),
    STARTED: Renamed("celery_task_started"),
    SUCCEEDED: Renamed("celery_task_succeeded"),
    FAILED: Renamed("celery_task_failed", keeps=("backend", "broker", "exception")),
    RETRIED: Renamed("celery_task_retried"),
    REJECTED: Renamed("celery_task_rejected"),
    REVOKED: Renamed("celery_task_revoked"),
    RUN: Renamed("celery_task_runtime", only=(("outcome", "succeeded"),)),
    QUEUE: Renamed("celery_task_queue_wait_time"),
}

#: Our labels, and what they are called there.
LABELS = (("task", "name"), ("queue", "queue_name"))


def renamed(metrics: Iterable[Metric], hostname: str) -> Iterator[Metric]:
    """Yield the metrics of ours that have a name there."""
    by_name = {series.name: name for series, name in NAMES.items()}
    for metric in metrics:
        to = by_name.get(metric.name)
        if to is not None:
            yield _renamed(metric, to, hostname)


def _renamed(metric: Metric, to: Renamed, hostname: str) -> Metric:
    sums: defaultdict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)
    for sample in metric.samples:
        if all(sample.labels.get(label) == value for label, value in to.only):
            labels = [("hostname", hostname), *((theirs, sample.labels[ours]) for ours, theirs in LABELS)]
            labels += [(label, sample.labels[label]) for label in to.keeps if label in sample.labels]
            sums[sample.name.removeprefix(metric.name), tuple(labels)] += sample.value
    made = Metric(to.name, metric.documentation, metric.type)
    for (suffix, its), value in sums.items():
        made.add_sample(to.name + suffix, dict(its), value)
    return made
