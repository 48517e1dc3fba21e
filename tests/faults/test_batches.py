"""Batches while what fills and runs them is killed: one callback, right counts; and what a long one costs in memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from taskbridge import BatchProgress, Bridge

from ..servers import until
from .evidence import Tally
from .harness import QUEUE, ROOT, Played, Stage, Worker, at_once, named

pytestmark = pytest.mark.service("redis")

#: A worker that nobody saw die: after so long what it had fetched goes back; a minute outside of tests.
VISIBILITY = {"taskbridge.redis.shelf.VISIBILITY_MS": 10_000, "taskbridge.worker.keep.BEAT_EVERY_S": 2.0}

MODULE = "tests.faults.batch_tasks"

#: As in ``batch_tasks``, which only workers import.
BUILDER, THEN, ERROR, FAILING = 10_000_000, 10_000_001, 10_000_002, 3

MIB = 2**20


def the_batch(bridge: Bridge) -> BatchProgress | None:
    """The one that there is, once it is opened."""
    newest = bridge.store.batches.newest(1)
    return bridge.batch_progress(newest[0].id) if newest else None


def killed_while_it_runs(stage: Stage, total: int, seconds: float, patience_s: float) -> Tally:
    """A task fills a batch while a random child is killed every half second, if some have ended meanwhile, and the
    supervisor twice.

    Half of each minute all live in peace: who needs longer than half a second to fill it comes to an end then.
    """
    producer, began_s = stage.producer(), time.monotonic()
    worker = stage.worker(tasks=MODULE, processes=3, constants=VISIBILITY)
    producer.bridge.external(f"{MODULE}.build", queue=QUEUE).enqueue(total, seconds)
    kills, before, supervisors = 0, 0, [began_s + 3, began_s + 8]
    while time.monotonic() < began_s + patience_s and not {THEN, ERROR} <= stage.evidence.ended():
        time.sleep(random.uniform(0.3, 0.7))
        if (time.monotonic() - began_s) % 60 > 30:
            continue
        if supervisors and time.monotonic() > supervisors[0]:
            supervisors.pop(0)
            kills += worker.kill()
            worker.start()
        elif len(stage.evidence.ended()) > before + 20:
            before = len(stage.evidence.ended())
            kills += worker.kill_a_child()
    worker.stop()
    found, effects = the_batch(producer.bridge), stage.evidence.effects()
    assert found
    more = {
        "kills": kills,
        "callbacks": (effects[THEN], effects[ERROR]),
        "counts": (found.total, found.open, found.done, found.failed, found.dropped, found.complete),
        "fills": len(stage.evidence.starts.get(BUILDER, [])),
    }
    succeed = {n for n in range(total) if n % 100 >= FAILING}
    return stage.evidence.tally(succeed, time.monotonic() - began_s, succeed, **more)


def check(tally: Tally, total: int, figures: Callable[[Tally], None]) -> None:
    figures(tally)
    failed = total * FAILING // 100
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert (1, 1) == tally.more["callbacks"], tally
    assert (total, 0, total - failed, failed, 0, True) == tally.more["counts"], tally
    assert tally.more["fills"] > 1, "the task that fills it dies half-way, the first time"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """On both engines at once."""
    scenario = named("killed_while_it_runs", killed_while_it_runs, total=3_000, seconds=0.1, patience_s=150)
    return at_once(tmp_path_factory.mktemp("played"), scenario)


def test_no_kill_miscounts_a_batch(played: Played, engine: str, figures: Callable[[Tally], None]) -> None:
    """3,000 members, 3 % of which fail: each counts once, each callback comes once, however often it is filled."""
    check(played["killed_while_it_runs", engine].result(), 3_000, figures)


@pytest.mark.soak
@pytest.mark.timeout(1_000)
def test_no_kill_miscounts_a_large_batch(stage: Stage, figures: Callable[[Tally], None]) -> None:
    """100,000 of them."""
    check(killed_while_it_runs(stage, 100_000, 0.01, 800), 100_000, figures)


#: Sends a batch of so many, twice: a small one first, so that all is loaded. Tells by how much it has grown, bytes.
PRODUCER = """
import sys, psutil
from taskbridge import batch
from tests.faults.batch_tasks import called, quick
me = psutil.Process()
for total in (10_000, int(sys.argv[1])):
    before = me.memory_info().rss
    batch((quick.s(n) for n in range(total)), when="all_done").then(called.s(total)).enqueue()
print(me.memory_info().rss - before)
"""


@pytest.mark.soak
@pytest.mark.timeout(1_000)
def test_long_batch_takes_no_memory(stage: Stage) -> None:
    """200,000 members: who sends them, the supervisor with its relay, and the children grow by less than 20 MiB."""
    total = 200_000
    worker = stage.worker(tasks=MODULE)
    bridge = stage.producer().bridge
    environment = os.environ | {
        "TASKBRIDGE_BACKEND": stage.engine,
        "TASKBRIDGE_BROKER_URL": stage.server.url(),
        "FAULTS_EVIDENCE": str(stage.evidence.folder),
    }
    command = [sys.executable, "-c", PRODUCER, str(total)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as producer:
        until(lambda: any(one.ended_ms for one in bridge.store.batches.newest(2)), 200, "the small one to end")
        before, most = held(worker), held(worker)

        def complete() -> bool:
            nonlocal most
            most = {pid: max(most.get(pid, 0), now) for pid, now in held(worker).items()}
            return total in stage.evidence.ended()

        until(complete, 800, "the large batch to be complete")
        grown, _ = producer.communicate(timeout=60)

    found = the_batch(bridge)
    sent = int(grown) / MIB
    worst = {pid: (most[pid] - before[pid]) / MIB for pid in before}
    print(f"{stage.engine}: sending {sent:.1f} MiB, supervisor, template, children {worst}")
    assert found
    assert (total, 0, total * FAILING // 100) == (found.total, found.open, found.failed)
    assert before.keys() == most.keys(), "a process was replaced"
    assert sent < 20
    assert max(worst.values()) < 20


def held(worker: Worker) -> dict[int, int]:
    """What each of its processes holds, bytes."""
    return {pid: psutil.Process(pid).memory_info().rss for pid in worker.everyone()}
