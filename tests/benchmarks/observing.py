"""Rows: what it costs to be seen: no-op tasks a second with metrics, Sentry and a line of JSON for each task.

The native column is taskbridge without any of it, at a level at which tasks that succeed write nothing. Sentry's server
is one that nobody runs; an observer that is not installed is left out, and the row says what was on.
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
from .sides import BRIDGED, Side
from .working import COUNT, rate

#: With all of it on, a worker does at least so much of the work of one without.
TARGET = Target(ratio=0.93)

WANTED = ("metrics", "sentry")


def cases() -> list[Case]:
    """Return the cases of this family."""
    found = {entry.name for entry in entry_points(group=GROUP)}
    observers = [name for name in WANTED if name in found]
    return [_case(engine, observers) for engine in BRIDGED]


def _case(engine: str, observers: Sequence[str]) -> Case:
    plain = BRIDGED[engine]
    name = f"{engine}: no-op tasks with {', '.join([*observers, 'logs in JSON'])}"
    return Case(
        rows=(Row(name=name, unit="per s", target=TARGET),),
        shown="taskbridge without them",
        native=partial(_measure, replace(plain, command=(*plain.command, "--log-level", "WARNING"))),
        taskbridge=partial(_measure_observed, plain, observers),
    )


def _measure_observed(plain: Side, observers: Sequence[str]) -> Figures:
    served = ("--metrics", f"127.0.0.1:{free_port()}") if "metrics" in observers else ()
    environment = {
        **plain.environment,
        "TASKBRIDGE_OBSERVERS": ",".join(name for name in observers if name != "metrics"),  # the option brings those
        "SENTRY_DSN": f"http://key@127.0.0.1:{free_port()}/1",
    }
    return _measure(replace(plain, command=(*plain.command, *served, "--log-format", "json"), environment=environment))


def _measure(side: Side) -> Figures:
    with RedisServer() as server:
        produce(side, server, "fill", str(COUNT))
        with worker(side, server) as process:
            return (rate(side, server, process),)
