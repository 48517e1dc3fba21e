"""Where a no-op task's processor time goes on RabbitMQ: ``python -m tests.benchmarks.spending [celery|dramatiq]``.

Of the worker's processes, of RabbitMQ and of the store, microseconds a task, from when a tenth was fetched until nine
tenths were; native engine and taskbridge in turn, in rounds, the median of each. On a machine that others use, too,
this says more than a rate: the least time a task takes is what all of them spend, divided by the cores.
"""

from __future__ import annotations

import statistics
import sys
import time

import psutil

from . import rabbitmq
from .processes import produce, worker
from .sides import Side
from .watching import spent_s

COUNT, ROUNDS = 20_000, 3

#: How often the queue is looked at, seconds, and how long a worker may take.
LOOK_S, PATIENCE_S = 0.02, 180.0

SIDES = {"native": rabbitmq.native, "taskbridge": rabbitmq.ours, "ledger=False": rabbitmq.light}


def main() -> None:
    """Print a line for each side."""
    for engine in sys.argv[1:] or rabbitmq.NAMES:
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
        for _ in range(ROUNDS):
            for name, side in SIDES.items():
                figures[name].append(measure(side(engine)))
        for name, some in figures.items():
            parts = {part: statistics.median(one[part] for one in some) for part in some[0]}
            told = ", ".join(f"{part} {us:.0f}" for part, us in parts.items())
            print(f"{engine}, {name}: {sum(parts.values()):.0f} us a task: {told}", flush=True)


def measure(side: Side) -> dict[str, float]:
    """Return the processor time a task of each part, microseconds."""
    with rabbitmq.stand() as place:
        produce(side, place, "fill", str(COUNT))
        with worker(side, place) as process:
            first = until_left(side, place, COUNT * 9 // 10)
            parts = {
                "worker": [process, *process.children(recursive=True)],
                "RabbitMQ": [listening(place.port)],
                "store": [listening(place.store_port)],
            }
            before = {part: sum(map(spent_s, some)) for part, some in parts.items()}
            last = until_left(side, place, COUNT // 10)
            return {
                part: (sum(map(spent_s, some)) - before[part]) / (first - last) * 1e6 for part, some in parts.items()
            }


def until_left(side: Side, place: rabbitmq.Stand, at_most: int) -> int:
    """Wait until no more than so many are left; returns how many are."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (left := side.left(place)) > at_most:
        assert time.monotonic() < deadline_s, f"{side.shown}: {left} of {COUNT} left after {PATIENCE_S} s"
        time.sleep(LOOK_S)
    return left


def listening(port: int) -> psutil.Process:
    """Return the process that listens on a port."""
    found = [one.pid for one in psutil.net_connections() if one.laddr.port == port and one.status == psutil.CONN_LISTEN]
    assert found
    assert found[0]
    return psutil.Process(found[0])


if __name__ == "__main__":
    main()
