"""Rows: what a chunk enqueues a second, and what a chunk costs beyond its body, on a worker of one process.

Beside it stands the same in plain Celery: a task that enqueues in a loop, and one that calls itself.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from ..servers import RedisServer
from .processes import produce, worker
from .runner import Case, Figures, Row, Target
from .sides import BRIDGED, CELERY, TASKS, Side

#: How long a run may take, seconds.
PATIENCE_S = 120.0

#: How many notes make a run, by task and side.
STEPS = 500
ENQUEUED = {True: 3, False: 1}

NATIVE = replace(
    CELERY,
    shown="celery worker -c 1",
    tasks=f"{TASKS}.celery_steps",
    command=("celery", "-A", f"{TASKS}.celery_steps", "worker", "-c", "1", "-Q", "chunks"),
)


def cases() -> list[Case]:
    """Return the cases of this family."""
    return [case for engine, side in BRIDGED.items() for case in _cases(engine, _chunked(side))]


def _chunked(side: Side) -> Side:
    tasks = f"{TASKS}.chunks"
    command = ("taskbridge", "worker", tasks, "--processes", "1", "--queues", "chunks")
    return replace(side, tasks=tasks, command=command)


def _cases(engine: str, ours: Side) -> list[Case]:
    enqueued = Row(name=f"{engine}: enqueue_many inside a chunk", unit="per s", target=Target(ratio=20.0))
    step = Row(name=f"{engine}: a chunk beyond its body", unit="ms", less_is_better=True, target=Target(below=10.0))
    return [
        Case(rows=(enqueued,), shown="a loop of delay", native=partial(_rate, NATIVE), taskbridge=partial(_rate, ours)),
        Case(
            rows=(step,),
            shown="a task that calls itself",
            native=partial(_step, NATIVE),
            taskbridge=partial(_step, ours),
        ),
    ]


def _rate(side: Side) -> Figures:
    return (median(_notes(side, "generate", ENQUEUED[side is not NATIVE])),)


def _step(side: Side) -> Figures:
    began = _notes(side, "step", STEPS)
    return ((began[-1] - began[0]) / (STEPS - 1),)


def _notes(side: Side, task: str, count: int) -> list[float]:
    with RedisServer() as server, worker(side, server):
        path = server.directory / "notes"
        path.touch()
        produce(side, server, "start", "1", task, str(path))
        return _read(path, count)


def _read(path: Path, count: int) -> list[float]:
    deadline_s = time.monotonic() + PATIENCE_S
    while len(lines := path.read_text("ascii").splitlines()) < count:
        assert time.monotonic() < deadline_s, f"{len(lines)} of {count} chunks began within {PATIENCE_S} s"
        time.sleep(0.05)
    return [float(line) for line in lines]
