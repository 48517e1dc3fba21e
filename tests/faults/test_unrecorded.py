"""Tasks without a ledger while processes are killed: none is lost, and there are no more repeats than kills."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from taskbridge.operations.control import cancel, pause

from ..servers import until
from .evidence import Tally
from .harness import PATIENCE_S, Played, Stage, at_once
from .test_kills import VISIBILITY

#: What a worker tells of itself lapses sooner.
ANNOUNCED = {
    **dict.fromkeys(("taskbridge.announcement.LEASE_MS", "taskbridge.worker.keep.LEASE_MS"), 3_000),
    "taskbridge.worker.keep.ANNOUNCE_EVERY_S": 0.5,
}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """On both engines at once."""
    return at_once(tmp_path_factory.mktemp("played"), kill_at_random, kill_whole_workers)


def kill_at_random(stage: Stage) -> Tally:
    """1,000 tasks of 20 ms while a child is killed every half second, if some have ended meanwhile, and the supervisor
    once."""
    producer = stage.producer()
    producer.send_all("light", range(1_000))
    worker = stage.worker(processes=3, constants=VISIBILITY)
    began_s = time.monotonic()
    kills, before, supervisors = 0, 0, 1
    while time.monotonic() < began_s + 90 and stage.evidence.ended() != producer.sent:
        time.sleep(random.uniform(0.3, 0.7))
        if supervisors and time.monotonic() > began_s + 2:
            supervisors = 0
            kills += worker.kill()
            worker.start()
        elif len(stage.evidence.ended()) > before + 20:
            before = len(stage.evidence.ended())
            stage.server.cli().delete("{taskbridge}:record_all")  # or all but the first would be recorded
            kills += worker.kill_a_child()
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, kills=kills)


def kill_whole_workers(stage: Stage) -> Tally:
    """Supervisor and processes, whenever a certain task has begun."""
    producer, began_s = stage.producer(), time.monotonic()
    letters, begun = producer.bridge.store.dead.list, lambda: len(stage.evidence.look().starts.get(0, ()))
    worker = stage.worker(constants=VISIBILITY | ANNOUNCED)
    producer.send("light_and_long", [0])
    for kills in range(8):
        until(lambda kills=kills: letters(9) or begun() > kills, 40, "it is begun again, or dead")
        if letters(9):
            break
        worker.kill()
        worker.start()
    crashes = [letter.crashes for letter in letters(9)]
    return stage.evidence.tally([0], time.monotonic() - began_s, crashes=crashes, begun=begun())


@pytest.mark.service("redis")
def test_no_kill_loses_what_wants_no_ledger(played: Played, engine: str, figures: Callable[[Tally], None]):
    """Each comes to an end; a kill repeats the one that ran and no other."""
    tally = played["kill_at_random", engine].result()

    figures(tally)
    assert 0 == tally.lost, tally
    assert tally.repeated <= tally.more["kills"], tally
    assert tally.more["kills"] >= 3, tally


@pytest.mark.service("redis")
def test_one_that_kills_its_process_is_dead_in_the_end(stage: Stage):
    """From its first victim on all are recorded, so its crashes are counted; what stands beside it runs."""
    producer = stage.producer()
    worker = stage.worker()

    producer.send("light_and_deadly", [0])
    producer.send("light", range(1, 51))
    until(lambda: producer.bridge.store.dead.list(9), PATIENCE_S, "a dead letter")
    stage.until_done(range(1, 51))

    assert set(range(1, 51)) <= stage.evidence.ended()
    assert [3] == [letter.crashes for letter in producer.bridge.store.dead.list(9)]
    assert 4 <= len(stage.evidence.starts[0]) <= 5, "max_crashes is 2, and the first were not counted yet"
    assert worker.lives()


@pytest.mark.service("redis")
def test_one_that_takes_its_whole_worker_along_is_dead_in_the_end(played: Played, engine: str):
    """No supervisor has seen it: whoever comes next finds that a worker is gone without a word, and counts."""
    tally = played["kill_whole_workers", engine].result()

    assert [3] == tally.more["crashes"], tally
    assert 4 <= tally.more["begun"] <= 6, "max_crashes is 2, and the first were not counted yet"


@pytest.mark.service("redis")
def test_a_worker_that_begins_runs_nothing_that_is_paused_or_cancelled(stage: Stage):
    """Whatever was said before it came: its first child knows of it."""
    producer = stage.producer()
    light = producer.task("light")
    cancelled = light.enqueue(1)
    cancel(producer.bridge, cancelled.id)
    pause(producer.bridge, "task", light.name, anyway=True)
    producer.send("light", range(2, 52))

    stage.worker(processes=3)

    until(lambda: producer.bridge.store.control.pauses()[0].waiting == 50, PATIENCE_S, "all that is paused waits")
    assert set() == stage.evidence.look().starts.keys()
