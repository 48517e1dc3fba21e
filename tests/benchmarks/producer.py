"""A producer: ``python -m tests.benchmarks.producer TASKS one|bulk|fill|paced|chained|start COUNT [MORE]``.

Prints what it measured as JSON: calls a second, for ``paced`` the milliseconds from each publishing to its start, for
``chained`` the milliseconds from link to link and the size of the message.
"""

from __future__ import annotations

import importlib
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Calls before the clock starts: connections are open and caches are filled then.
WARM_UP = 200
PACED_WARM_UP = 5

#: How many links are measured at least.
LINKS = 1_000

#: Between two messages the worker is idle for so long, seconds; never in step with anything.
PAUSE_S = (0.05, 0.15)

#: How long a message may take to start, or a chain to end, seconds.
PATIENCE_S = 300.0


def one_by_one(tasks: Any, count: int) -> list[float]:
    """Return calls a second, one call after the other."""
    for user in range(WARM_UP):
        tasks.send_noop(user_id=user, provider_id=1)
    return [count / _seconds(lambda: _fill(tasks, count))]


def in_bulk(tasks: Any, count: int) -> list[float]:
    """Return calls a second by ``enqueue_many``."""
    tasks.noop.enqueue_many({"user_id": user, "provider_id": 1} for user in range(WARM_UP))
    calls = ({"user_id": user, "provider_id": 1} for user in range(count))
    return [count / _seconds(lambda: tasks.noop.enqueue_many(calls))]


def fill(tasks: Any, count: int) -> list[float]:
    """Put work into the queue, by the fastest way the side has."""
    if hasattr(tasks.noop, "enqueue_many"):
        tasks.noop.enqueue_many({"user_id": user, "provider_id": 1} for user in range(count))
    else:
        _fill(tasks, count)
    return []


def paced(tasks: Any, count: int, path: str) -> list[float]:
    """Publish one message at a time to an idle worker; return how long each took to start, in milliseconds."""
    lines = Path(path)
    lines.touch()
    for _ in range(PACED_WARM_UP + count):
        time.sleep(random.uniform(*PAUSE_S))
        size = lines.stat().st_size
        tasks.send_mark(sent_ns=time.monotonic_ns(), path=path)
        _wait_for_more(lines, size)
    return [float(line) for line in lines.read_text("ascii").splitlines()[PACED_WARM_UP:]]


def chained(tasks: Any, links: int, path: str) -> list[float]:
    """Enqueue chains of so many links, one after another; return what a link took and the message's size."""
    lines = Path(path)
    lines.touch()
    for _ in range(1 + max(1, LINKS // links)):  # the first is a warm-up
        size = lines.stat().st_size
        bytes_of_it = tasks.send_chain(links, path)
        _wait_for_more(lines, size)
    return [statistics.median(map(float, lines.read_text("ascii").splitlines()[1:])), bytes_of_it]


def start(tasks: Any, _count: int, task: str, path: str) -> list[float]:
    """Start one task, which notes in a file what is measured."""
    tasks.starts[task](path=path)
    return []


def _fill(tasks: Any, count: int) -> None:
    send = tasks.send_noop
    for user in range(count):
        send(user_id=user, provider_id=1)


def _seconds(run: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    run()
    return time.perf_counter() - begun_s


def _wait_for_more(lines: Path, size: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while lines.stat().st_size == size:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"nothing was written down within {PATIENCE_S} s")
        time.sleep(0.002)


HOW: dict[str, Callable[..., list[float]]] = {
    "one": one_by_one,
    "bulk": in_bulk,
    "fill": fill,
    "paced": paced,
    "chained": chained,
    "start": start,
}


def main() -> None:
    """Do as the words say."""
    module, how, count, *more = sys.argv[1:]
    print(json.dumps(HOW[how](importlib.import_module(module), int(count), *more)))


if __name__ == "__main__":
    main()
