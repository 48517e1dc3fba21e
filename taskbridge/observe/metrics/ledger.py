"""The ledger: all that one process has counted, and the lock of making more. A fork begins one of its own.

The lock is held while a fork is made, so that no child finds it taken for ever.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from itertools import groupby

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from .cells import INFINITE, Cells, Made, Spread
from .rows import Rows
from .series import EVERY, TRIPS, Series

log = logging.getLogger("taskbridge.metrics")

#: How often to say that nothing can be counted, seconds.
COMPLAIN_EVERY_S = 60.0


class Ledger(Collector):
    """What one process has counted; as a collector, its series as they stand in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._complained_s = -COMPLAIN_EVERY_S
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._cells = Cells()
        self.rows = Rows(self._cells)
        #: The round trips to the store; None before the first.
        self.trips: Spread | None = None

    def first_trip(self) -> Spread:
        """Return what counts round trips."""
        with self.lock:
            if self.trips is None:
                self.trips = self._cells.spread(TRIPS, ())
            return self.trips

    def keep_over_forks(self) -> None:
        """Have each fork of this process begin one of its own."""

        def in_child() -> None:
            self.forget()
            self.lock.release()

        os.register_at_fork(before=self.lock.acquire, after_in_parent=self.lock.release, after_in_child=in_child)

    def complain(self, error: Exception, now_s: float) -> None:
        """Say that something was not counted, now and then."""
        if now_s - self._complained_s >= COMPLAIN_EVERY_S:
            self._complained_s = now_s
            log.error("metrics are not counted, the work goes on", exc_info=error)

    def describe(self) -> list[Metric]:
        return [_family(series) for series in EVERY]

    def collect(self) -> Iterator[Metric]:
        with self.lock:
            made = sorted(self._cells.made, key=lambda one: (EVERY.index(one.series), one.labels))
        for series, of_series in groupby(made, key=lambda one: one.series):
            family = _family(series)
            for labels, cells in groupby(of_series, key=lambda one: one.labels):
                _add(family, labels, list(cells))
            yield family


def _family(series: Series) -> CounterMetricFamily | HistogramMetricFamily:
    kind = HistogramMetricFamily if series.bounds_s else CounterMetricFamily
    return kind(series.name, series.help, labels=series.label_names)


def _add(family: CounterMetricFamily | HistogramMetricFamily, labels: tuple[str, ...], cells: list[Made]) -> None:
    if isinstance(family, CounterMetricFamily):
        family.add_metric(labels, cells[0].cell.value)
        return
    counts = {one.bound: one.cell.value for one in cells}
    total, below, buckets = counts.pop(None, 0.0), 0.0, []
    for bound in sorted(bound if bound is not None else INFINITE for bound in counts):
        below += counts[bound]
        buckets.append((floatToGoString(bound), below))
    family.add_metric(labels, buckets, total)
