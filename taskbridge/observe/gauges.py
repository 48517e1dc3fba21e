"""What stands in store and broker, as gauges for Prometheus: read anew at each scrape, from wherever it is asked.

Nothing here raises: what does not answer is told by ``taskbridge_store_up`` and ``taskbridge_broker_up``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..bridge import Bridge
from ..operations.depths import depths


class StoreGauges(Collector):
    """A collector for a registry.

    Args:
        bridge: where to look.
        queues: shown besides those that live workers serve and that the store counts.
        celery: also under the names that dashboards for Celery use.
    """

    def __init__(self, bridge: Bridge, queues: Sequence[str] = (), *, celery: bool = False) -> None:
        self._bridge = bridge
        self._queues = queues
        self._celery = celery

    def describe(self) -> list[Metric]:
        """Nothing is looked at to register it."""
        return []

    def collect(self) -> Iterator[Metric]:
        found = depths(self._bridge, self._queues)
        length = GaugeMetricFamily(
            "taskbridge_queue_length",
            "Messages that wait in the engine's queue, not yet fetched by a worker.",
            labels=("backend", "broker", "queue"),
        )
        for depth in found.queues:
            for name, side in depth.backends.items():
                if side.waiting is not None:
                    broker = self._bridge.settings.backend_settings(name).broker
                    length.add_metric((name, broker, depth.queue), side.waiting)
        yield length
