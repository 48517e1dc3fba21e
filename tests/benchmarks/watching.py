"""What it costs a child to be seen: ``python -m tests.benchmarks.watching [celery|dramatiq]``, processor time a task.

A worker of two processes runs no-op tasks with nothing on, with each of logs in JSON, metrics and Sentry, and with all;
in turn, in rounds, and the median of each is shown. Processor time says more than speed does on a machine with others.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import psutil

from ..servers import RedisServer, free_port
from .processes import produce, worker
from .sides import BRIDGED, Side

COUNT, ROUNDS = 40_000, 3

#: What is on, in the order shown.
SEEN: dict[str, Sequence[str]] = {
    "nothing": (),
    "logs in JSON": ("json",),
    "metrics": ("metrics",),
    "Sentry": ("sentry",),
    "all": ("json", "metrics", "sentry"),
}

#: How often the queue is looked at, seconds, and how long a worker may take.
LOOK_S, PATIENCE_S = 0.01, 180.0


def main() -> None:
    """Print a line for each."""
    for engine in sys.argv[1:] or BRIDGED:
        figures: dict[str, list[float]] = {name: [] for name in SEEN}
        for _ in range(ROUNDS):
            for name, on in SEEN.items():
                figures[name].append(measure(seen(BRIDGED[engine], on)))
        least = statistics.median(figures["nothing"])
        for name, some in figures.items():
            median = statistics.median(some)
            told = f"{median:6.1f} us a task, {median - least:+5.1f} ({min(some):.1f} to {max(some):.1f})"
            print(f"{engine}: {name:13} {told}")


def seen(plain: Side, on: Sequence[str]) -> Side:
    """Return a side with these on; Sentry's server is one that nobody runs."""
    command = (*plain.command, *(("--log-format", "json") if "json" in on else ("--log-level", "WARNING")))
    if "metrics" in on:
        command = (*command, "--metrics", f"127.0.0.1:{free_port()}")
    sentry = {"TASKBRIDGE_OBSERVERS": "sentry", "SENTRY_DSN": f"http://key@127.0.0.1:{free_port()}/1"}
    return replace(plain, command=command, environment={**plain.environment, **(sentry if "sentry" in on else {})})


def measure(side: Side) -> float:
    """Return the children's processor time a task, microseconds, from when a tenth was done until nine tenths were."""
    with RedisServer() as server:
        produce(side, server, "fill", str(COUNT))
        with worker(side, server) as process:
            first = until_left(side, server, COUNT * 9 // 10)
            children = process.children(recursive=True)
            began_s = sum(map(spent_s, children))
            last = until_left(side, server, COUNT // 10)
            return (sum(map(spent_s, children)) - began_s) / (first - last) * 1e6


def spent_s(process: psutil.Process) -> float:
    """Return the processor time of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def until_left(side: Side, server: RedisServer, at_most: int) -> int:
    """Wait until no more than so many are left; returns how many are."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (left := side.left(server)) > at_most:
        assert time.monotonic() < deadline_s, f"{side.shown}: {left} of {COUNT} left after {PATIENCE_S} s"
        time.sleep(LOOK_S)
    return left


if __name__ == "__main__":
    main()
