"""``taskbridge queues``: how much waits where."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .common import as_json, on_a_bridge, opened, queue_names
from .screen import say, say_json, table

if TYPE_CHECKING:
    from ..operations.depths import Depth

EXAMPLES = """\b
Examples:
  taskbridge queues                      # those that workers serve or the store counts
  taskbridge queues --queues emails,reports
  taskbridge queues --module app.tasks   # those of its tasks, too
  taskbridge queues --json
"""

COLUMNS = (
    "queue",
    "backend",
    "waiting",
    "running",
    "processes",
    "ready",
    "delayed",
    "parked",
    "locked",
    "throttled",
    "held",
    "paused",
    "dead",
)


@click.command(epilog=EXAMPLES)
@click.option("--queues", default="", callback=queue_names, help="Comma-separated; look at these too.")
@on_a_bridge
@as_json
def queues(queues: list[str], module: str | None, chdir: str, json: bool) -> None:
    """Show how many messages are in each queue and state, on every backend.

    Waiting is what lies in the engine's queue. Ready, delayed, parked, locked (they wait for a lock), throttled
    (for their turn at a limit), held (chunks of runs that rest), paused (until
    what they wait for is resumed) and dead messages are in the store: which backend
    they go to is decided when they leave it, so they stand in the queue's first row.
    """
    from ..operations.depths import depths

    with opened([module], chdir) as bridge:
        found = depths(bridge, [*queues, *(one.options.queue for one in bridge.definitions.values())])
    for problem in found.problems:
        say(f"taskbridge: {problem}", error=True)
    if json:
        say_json({"queues": [asdict(depth) for depth in found.queues], "problems": found.problems})
    elif found.queues:
        table(COLUMNS, [row for depth in found.queues for row in _rows(depth)], numbers=COLUMNS[2:])
    elif found.problems:
        say("no queue is known without the store; name some with --queues or --module")
    else:
        say("no queue is known: no worker lives and the store keeps no message; name some with --queues or --module")
    sys.exit(1 if found.problems else 0)


def _rows(depth: Depth) -> list[tuple[object, ...]]:
    waits = (depth.locked, depth.throttled, depth.held, depth.paused)
    kept = (depth.ready, depth.delayed, depth.parked, *waits, depth.dead)
    rows: list[tuple[object, ...]] = []
    for name, side in depth.backends.items() or [("", None)]:
        waiting = "?" if side is None or side.waiting is None else side.waiting
        live = (side.running, side.processes) if side else (0, 0)
        shown = ("",) * len(kept) if rows else kept
        rows.append(("" if rows else depth.queue, name or "-", waiting, *live, *shown))
    return rows
