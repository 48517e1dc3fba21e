"""Arenas: a worker in real processes on a real broker, for the suite's cases."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from taskbridge import Bridge, Settings
from taskbridge.testing.backend_suite import PATIENCE_S, Arena, notes_in
from taskbridge.testing.suite_notes import QUEUE
from taskbridge.testing.suite_tasks import declare
from tests.servers import RedisServer, until

from .places import BrokerPlace
from .running import commands_of, running

TASKS = "taskbridge.testing.suite_tasks"

#: How long a worker may take to start on a busy machine, seconds.
START_S = 90.0


@contextmanager
def arena_of(engine: str, kind: str, place: BrokerPlace, store: RedisServer, directory: Path) -> Iterator[Arena]:
    """An arena with real processes on a real broker, and its store in Redis."""
    place.empty()
    store.cli().flushall()
    settings = Settings(backend=engine, broker_url=place.url(), store_url=store.url())
    notes = notes_in(directory)
    where = {"BACKEND": engine, "BROKER_URL": place.url(), "STORE_URL": store.url()}
    environment = {**os.environ, **place.environment, **{f"TASKBRIDGE_{name}": value for name, value in where.items()}}
    log = directory / "worker.log"
    bridge = Bridge(settings)
    tasks = declare(bridge)
    push_raw = partial(place.push_raw, engine, QUEUE)
    with running(commands_of(engine, kind, TASKS, place.queues(engine, QUEUE)), environment, log):
        patience_s = PATIENCE_S * (place.slowness if kind == "native" else 1)
        arena = Arena(bridge, tasks, notes, push_raw, place.native_call(engine), patience_s)
        first = tasks["plain"].enqueue(0, "warm")
        try:
            until(lambda: arena.lines(first.id), START_S, "the worker to serve its first message")
            yield arena
        finally:
            sys.stderr.write(log.read_text(errors="replace")[-4000:])
    bridge.close()
