"""Rows: from the producer's call to the task's first line, on an idle worker of two processes, p50 and p95.

One message at a time; the next is sent a while after the last was started. Three ways: native producer to native
worker, taskbridge producer to taskbridge worker, native producer to taskbridge worker.
"""

from __future__ import annotations

from functools import partial
from statistics import quantiles

from ..servers import RedisServer
from .processes import produce, worker
from .runner import Case, Figures, Row, Target
from .sides import BRIDGED, CELERY, DRAMATIQ, Side

COUNT = 60

BELOW_5_MS = Target(below=5.0)


def cases() -> list[Case]:
    """Return the cases of this family."""
    return [_case("celery", CELERY), _case("dramatiq", DRAMATIQ)]


def _case(engine: str, native: Side) -> Case:
    rows = [
        Row(name=f"{engine}: publish to start, {how}, {quantile}", unit="ms", less_is_better=True, target=target)
        for how in ("ours to ours", "native to ours")
        for quantile, target in (("p50", BELOW_5_MS), ("p95", None))
    ]
    return Case(
        rows=tuple(rows),
        shown=native.shown,
        native=partial(_native, native),
        taskbridge=partial(_taskbridge, BRIDGED[engine], native),
    )


def _native(side: Side) -> Figures:
    """The same native figures stand beside both producers of ours."""
    return _measure(side, side) * 2


def _taskbridge(ours: Side, native: Side) -> Figures:
    return _measure(ours, ours) + _measure(native, ours)


def _measure(producer: Side, consumer: Side) -> Figures:
    with RedisServer() as server, worker(consumer, server):
        waits_ms = produce(producer, server, "paced", str(COUNT), str(server.directory / "waits"))
    twentieths = quantiles(waits_ms, n=20, method="inclusive")
    return twentieths[9], twentieths[18]
