"""Locks under processes of both engines that are killed, stopped and cut off from their store."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from .evidence import Tally
from .harness import ENGINES, Stage, Worker, send

pytestmark = pytest.mark.service("redis")

COUNTERS = 4

#: How many messages a second there are to do, and how long each holds its lock: work lasts as long as the trouble.
A_SECOND, HOLDS_S = 60, 0.03


def prepare(folder: Path) -> None:
    """The resource that the lock protects, and that looks at fencing tokens itself."""
    with closing(sqlite3.connect(folder / "counters.sqlite3")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE counters (n INTEGER PRIMARY KEY, token INTEGER, value INTEGER)")
        database.execute("CREATE TABLE written (counter INTEGER, n INTEGER)")
        database.executemany("INSERT INTO counters VALUES (?, 0, 0)", [(n,) for n in range(COUNTERS)])
        database.commit()


def trouble(stage: Stage, workers: list[Worker], seconds: float) -> Counter[str]:
    """Kill, pause and restart at random for so long; returns what was done how often."""
    done: Counter[str] = Counter()
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        time.sleep(random.uniform(0.3, 1.2))
        kind = random.choice(["kill", "kill", "pause", "pause", "restart"])
        worker = random.choice(workers)
        if kind == "kill":
            done[kind] += worker.kill_a_child()
        elif kind == "pause":
            paused = random.sample(worker.children(), 1) if worker.children() else []
            done[kind] += send(paused, signal.SIGSTOP)
            time.sleep(random.uniform(0.1, 1.0))
            send(paused, signal.SIGCONT)
        else:
            stage.server.stop(signal.SIGTERM)
            stage.server.start()
            done[kind] += 1
    return done


def fought_over(folder: Path, seconds: float) -> Tally:
    """Eight processes, half of each engine, on four locks, with trouble; what the resource accepted."""
    with Stage("celery", folder, appendfsync="always") as stage:
        prepare(stage.evidence.folder)
        workers = [stage.worker(engine=engine, processes=4) for engine in ENGINES]
        producers = [stage.producer(engine=engine) for engine in ENGINES]
        began_s = time.monotonic()
        for n in range(int(A_SECOND * seconds)):
            producers[n % 2].send("counted", [n], n % COUNTERS, HOLDS_S)
        events = trouble(stage, workers, seconds)
        sent = producers[0].sent | producers[1].sent
        stage.until_done(sent)
        tally = stage.evidence.tally(sent, time.monotonic() - began_s, **events)
        tally.more["overwritten"] = overwritten(stage.evidence.folder)
    return tally


def overwritten(folder: Path) -> int:
    """How many writes that the resource accepted were lost to another's."""
    with closing(sqlite3.connect(folder / "counters.sqlite3")) as database:
        (value,) = database.execute("SELECT sum(value) FROM counters").fetchone()
        (written,) = database.execute("SELECT count(*) FROM written").fetchone()
    return int(written - value)


def test_lock_has_one_holder_whatever_happens(tmp_path: Path, figures: Callable[[Tally], None]):
    """No write of an accepted holder is overwritten by another's, no waiter is forgotten, every message is done."""
    tally = fought_over(tmp_path / "stage", 12)

    figures(tally)
    assert (0, 0) == (tally.lost, tally.more["overwritten"]), tally


@pytest.mark.soak
def test_lock_has_one_holder_for_a_minute(tmp_path: Path, figures: Callable[[Tally], None]):
    """The same for as long as a minute."""
    tally = fought_over(tmp_path / "stage", 60)

    figures(tally)
    assert (0, 0) == (tally.lost, tally.more["overwritten"]), tally


def test_two_locks_in_opposite_orders(tmp_path: Path, figures: Callable[[Tally], None]):
    """Transfers between six accounts by eight processes of both engines: no deadlock, and both are always held."""
    with Stage("celery", tmp_path / "stage") as stage:
        for engine in ENGINES:
            stage.worker(engine=engine, processes=4)
        producers = [stage.producer(engine=engine) for engine in ENGINES]
        began_s = time.monotonic()
        for n in range(600):
            source, target = random.sample(range(6), 2)
            producers[n % 2].send("transferred", [n], source, target)
        sent = producers[0].sent | producers[1].sent
        stage.until_done(sent)
        tally = stage.evidence.tally(sent, time.monotonic() - began_s)

    figures(tally)
    assert (600, 0, 0) == (tally.sent, tally.lost, tally.repeated), tally
