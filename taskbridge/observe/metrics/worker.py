"""What a supervisor says of itself and its processes, as series. It is told facts, and looks at nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..facts import Facts, Group


class WorkerSeries(Collector):
    """Shows what ``look`` says.

    Args:
        look: returns the facts.
        hostname: for the names of Celery's dashboards; empty leaves them out.
    """

    def __init__(self, look: Callable[[], Facts], hostname: str = "") -> None:
        self._look = look
        self._hostname = hostname

    def describe(self) -> list[Metric]:
        """Nothing is looked at to register it."""
        return []

    def collect(self) -> Iterator[Metric]:
        facts = self._look()
        yield GaugeMetricFamily("taskbridge_worker_up", "This worker.", 1)
        yield _by_state(facts)
        yield _of("taskbridge_worker_active", "Processes that run a task now.", facts, lambda one: one.active)
        share = "The share of its processes' time in which they had something to do, over a minute."
        yield _of("taskbridge_worker_utilisation", share, facts, lambda one: one.utilisation)
        busy = CounterMetricFamily("taskbridge_worker_busy_seconds", "How long they had.", labels=("group",))
        for name, group in facts.groups.items():
            busy.add_metric((name,), group.busy_s)
        yield busy
        replaced = CounterMetricFamily("taskbridge_worker_replaced", "Children replaced.", labels=("group", "reason"))
        for labels, count in facts.replaced.items():
            replaced.add_metric(labels, count)
        yield replaced
        yield GaugeMetricFamily("taskbridge_relay_leads", "Whether the relay of this worker leads.", float(facts.leads))
        if self._hostname:
            yield from self._for_celery(facts)

    def _for_celery(self, facts: Facts) -> Iterator[Metric]:
        active = sum(group.active for group in facts.groups.values())
        for name, text, value in (
            ("celery_worker_up", "This worker.", 1),
            ("celery_worker_tasks_active", "Tasks that run now.", active),
        ):
            family = GaugeMetricFamily(name, text, labels=("hostname",))
            family.add_metric((self._hostname,), value)
            yield family


def _by_state(facts: Facts) -> Metric:
    processes = GaugeMetricFamily("taskbridge_worker_processes", "Its processes.", labels=("group", "state"))
    for name, group in facts.groups.items():
        processes.add_metric((name, "wanted"), group.wanted)
        processes.add_metric((name, "alive"), group.alive)
    return processes


def _of(name: str, text: str, facts: Facts, value: Callable[[Group], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("group",))
    for group, one in facts.groups.items():
        family.add_metric((group,), value(one))
    return family
