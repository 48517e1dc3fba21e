"""Rows: what it costs to be seen: tasks a second with metrics, Sentry and a line of JSON for each task.

The native column is taskbridge without any of it, at a level at which tasks that succeed write nothing. Sentry's server
is one that nobody runs; an observer that is not installed is left out, and the row says what was on. Of no-op tasks the
whole difference is seen, of tasks that wait for a database once what a user would see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import entry_points

from taskbridge.observers import GROUP

from ..servers import RedisServer, free_port
from .processes import produce, worker
from .runner import Case, Figures, Row, Target
from .sides import BRIDGED, TASKS, Side
from .working import rate

#: With all of it on, a worker does at least so much of the work of one without.
TARGET = Target(ratio=0.93)

WANTED = ("metrics", "sentry")

#: What is measured: the module of the task, and how many of them, for a few seconds' work.
KINDS = {"no-op tasks": (f"{TASKS}.bridged", 30_000), "tasks that wait 1 ms": (f"{TASKS}.waiting", 10_000)}


def cases() -> list[Case]:
    """Return the cases of this family."""
    found = {entry.name for entry in entry_points(group=GROUP)}
    observers = [name for name in WANTED if name in found]
    return [_case(engine, kind, observers) for engine in BRIDGED for kind in KINDS]


def _case(engine: str, kind: str, observers: Sequence[str]) -> Case:
    tasks, count = KINDS[kind]
    plain = BRIDGED[engine]
    command = tuple(tasks if word == plain.tasks else word for word in plain.command)
    plain = replace(plain, tasks=tasks, command=command)
    name = f"{engine}: {kind} with {', '.join([*observers, 'logs in JSON'])}"
    return Case(
        rows=(Row(name=name, unit="per s", target=TARGET),),
        shown="taskbridge without them",
        native=partial(_measure, replace(plain, command=(*command, "--log-level", "WARNING")), count),
        taskbridge=partial(_measure_observed, plain, count, observers),
    )


def _measure_observed(plain: Side, count: int, observers: Sequence[str]) -> Figures:
    served = ("--metrics", f"127.0.0.1:{free_port()}") if "metrics" in observers else ()
    environment = {
        **plain.environment,
        "TASKBRIDGE_OBSERVERS": ",".join(name for name in observers if name != "metrics"),  # the option brings those
        "SENTRY_DSN": f"http://key@127.0.0.1:{free_port()}/1",
    }
    command = (*plain.command, *served, "--log-format", "json")
    return _measure(replace(plain, command=command, environment=environment), count)


def _measure(side: Side, count: int) -> Figures:
    with RedisServer() as server:
        produce(side, server, "fill", str(count))
        with worker(side, server) as process:
            return (rate(side, server, process, count),)
