"""Rows: no-op tasks a second through two processes, and the memory of the worker's processes after 10,000 of them.

Messages are in the queue before the worker starts. It is watched from outside, by how many are not acknowledged yet, so
nothing is added to the task and both sides are seen the same way. The first tenth is start-up and does not count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

import psutil

from ..servers import RedisServer
from .memory import proportional_mib
from .processes import produce, worker
from .runner import Case, Figures, Row, Target
from .sides import BRIDGED, CELERY, DRAMATIQ, DRAMATIQ_32, LIGHT, Place, Side

COUNT = 10_000

#: How long a worker may take to come up and do its work, seconds.
PATIENCE_S = 180.0

#: How often the queue is looked at, seconds.
LOOK_S = 0.02

#: Memory is looked at so long after the last task, seconds: both sides are at rest then.
REST_S = 1.0

MEMORY = Target(ratio=1 / 1.3)


def cases() -> list[Case]:
    """Return the cases of this family."""
    return [
        _case("celery", "celery: no-op tasks", CELERY, 3.5, memory=True),
        _case("dramatiq", "dramatiq: no-op tasks", DRAMATIQ, 5.0, memory=True),
        _case("dramatiq", "dramatiq: no-op tasks, prefetch 32", DRAMATIQ_32, 0.6),
        _case("celery", "celery: no-op tasks, ledger=False", CELERY, 3.5, ours=LIGHT),
        _case("dramatiq", "dramatiq: no-op tasks, prefetch 32, ledger=False", DRAMATIQ_32, 0.9, ours=LIGHT),
    ]


def _case(
    engine: str,
    name: str,
    native: Side,
    target: float,
    *,
    memory: bool = False,
    ours: Mapping[str, Side] = BRIDGED,
) -> Case:
    rows = [Row(name=name, unit="per s", target=Target(ratio=target))]
    if memory:
        after = f"{engine}: memory after {COUNT:,} tasks"
        rows.append(Row(name=after, unit="MiB PSS", less_is_better=True, target=MEMORY))
    return Case(
        rows=tuple(rows),
        shown=native.shown,
        native=partial(_measure, native, len(rows)),
        taskbridge=partial(_measure, ours[engine], len(rows)),
    )


def _measure(side: Side, figures: int) -> Figures:
    with RedisServer() as server:
        produce(side, server, "fill", str(COUNT))
        with worker(side, server) as process:
            figure = rate(side, server, process)
            time.sleep(REST_S)
            return (figure, proportional_mib(process))[:figures]


def rate(side: Side, server: Place, process: psutil.Process, count: int = COUNT) -> float:
    """Return messages a second, from when a tenth was acknowledged until all were."""
    seen = []
    for at_most in (count * 9 // 10, 0):
        deadline_s = time.monotonic() + PATIENCE_S
        while (left := side.left(server)) > at_most:
            assert process.status() != psutil.STATUS_ZOMBIE, f"{side.shown} ended with {left} of {count} left"
            assert time.monotonic() < deadline_s, f"{side.shown}: {left} of {count} left after {PATIENCE_S} s"
            time.sleep(LOOK_S)
        seen.append((time.monotonic(), left))
    (from_s, first), (until_s, last) = seen
    return (first - last) / (until_s - from_s)
