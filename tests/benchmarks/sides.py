"""The sides of a comparison: a native engine as its users start it, and taskbridge with its default settings on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from taskbridge.store.keys import Keys
from taskbridge_celery.brokers import RedisLayout as CeleryLayout
from taskbridge_dramatiq.brokers import RedisLayout as DramatiqLayout

from ..servers import RedisServer

QUEUE = "bench"
TASKS = "tests.benchmarks.tasks"


class Place(Protocol):
    """Where a side's queues are: a Redis, or another broker, which then has a ``store_url`` too."""

    directory: Path

    def url(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side: two processes that run one task at a time each.

    Args:
        shown: its worker as the table shows it.
        tasks: the module that declares its tasks.
        command: what starts its worker, after ``python -m``.
        left: how many of its messages are not acknowledged yet, waiting ones included.
        environment: what its processes have in their environment beside the broker's URL.
    """

    shown: str
    tasks: str
    command: tuple[str, ...]
    left: Callable[[Any], int]
    environment: Mapping[str, str] = field(default_factory=dict)


def _left_in_celery(server: RedisServer) -> int:
    """Source: kombu 5.7 transport/redis.py: a list per queue, one hash of what was fetched and not acknowledged."""
    return _sum(server, ("LLEN", QUEUE), ("HLEN", "unacked"))


def _left_in_dramatiq(server: RedisServer) -> int:
    """Source: dramatiq/brokers/redis/dispatch.lua: a message stays in this hash until it is acknowledged."""
    return _sum(server, ("HLEN", f"dramatiq:{QUEUE}.msgs"))


def _left_in_taskbridge(backend: str, layout: CeleryLayout | DramatiqLayout) -> Callable[[RedisServer], int]:
    keys = Keys("taskbridge")
    lists = [("LLEN", key) for band in layout.bands(QUEUE) for key in band]

    def left(server: RedisServer) -> int:
        owners: Any = server.cli().zrange(keys.owners(backend), 0, -1)
        shelves = [("HLEN", keys.shelf(backend, owner.decode())) for owner in owners]
        return _sum(server, *lists, *shelves)

    return left


def _sum(server: RedisServer, *commands: tuple[str, str]) -> int:
    """Lists are counted before what was taken from them: a message on its way is counted twice, never not at all."""
    pipeline: Any = server.cli().pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return sum(pipeline.execute())


CELERY = Side(
    shown="celery worker -c 2, acks_late",
    tasks=f"{TASKS}.native_celery",
    command=("celery", "-A", f"{TASKS}.native_celery", "worker", "-c", "2"),
    left=_left_in_celery,
)
DRAMATIQ = Side(
    shown="dramatiq -p 2 -t 1",
    tasks=f"{TASKS}.native_dramatiq",
    command=("dramatiq", f"{TASKS}.native_dramatiq", "-p", "2", "-t", "1"),
    left=_left_in_dramatiq,
)
DRAMATIQ_32 = replace(
    DRAMATIQ, shown="dramatiq -p 2 -t 1, queue prefetch 32", environment={"dramatiq_queue_prefetch": "32"}
)

BRIDGED = {
    name: Side(
        shown="taskbridge worker --processes 2",
        tasks=f"{TASKS}.bridged",
        command=("taskbridge", "worker", f"{TASKS}.bridged", "--processes", "2"),
        left=_left_in_taskbridge(name, layout),
        environment={"TASKBRIDGE_BACKEND": name},
    )
    for name, layout in (("celery", CeleryLayout("")), ("dramatiq", DramatiqLayout("")))
}

#: The same for tasks that want no ledger.
LIGHT = {
    name: replace(side, tasks=f"{TASKS}.light", command=("taskbridge", "worker", f"{TASKS}.light", "--processes", "2"))
    for name, side in BRIDGED.items()
}
