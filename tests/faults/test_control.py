"""What is paused, resumed and cancelled under processes that are killed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from itertools import count

import pytest

from taskbridge.operations.control import cancel, pause

from ..servers import fastest, until
from .evidence import Tally
from .harness import PATIENCE_S, Played, Stage, at_once, send

pytestmark = pytest.mark.service("redis")

#: What a worker that nobody saw die had fetched goes back after so long; a minute outside of tests.
VISIBILITY = {"taskbridge.redis.shelf.VISIBILITY_MS": 6_000, "taskbridge.worker.keep.BEAT_EVERY_S": 1.0}

NUMBER = 200
ONCE = "tests.faults.tasks.once"

#: How many go on before whoever resumes is gone.
FIRST = 20


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """On both engines at once."""
    return at_once(tmp_path_factory.mktemp("played"), kill_while_paused, end_while_it_runs)


def kill_while_paused(stage: Stage) -> Tally:
    """200 tasks meet a pause; children and the supervisor are killed; who resumes dies after the first twenty."""
    worker, producer = stage.worker(processes=3, constants=VISIBILITY), stage.producer()
    control, began_s, kills = producer.bridge.store.control, time.monotonic(), 0
    producer.send_all("once", range(NUMBER // 4))
    pause(producer.bridge, "task", ONCE, why="a fault test")
    producer.send_all("once", range(NUMBER // 4, NUMBER))
    for _ in range(3):
        time.sleep(random.uniform(0.2, 0.5))
        kills += worker.kill_a_child()
    until(lambda: control.pauses()[0].waiting >= NUMBER // 2, PATIENCE_S, "most of them wait")
    kills += worker.kill()
    worker.start()
    while_paused = len(stage.evidence.ended())
    time.sleep(1)
    ran = len(stage.evidence.ended()) - while_paused

    control.resume("task", ONCE)
    control.let_on(FIRST)
    stage.until_done(producer.sent, producer.sent)
    until(lambda: not control.pauses(), PATIENCE_S, "the pause is over")
    seconds = time.monotonic() - began_s
    return stage.evidence.tally(producer.sent, seconds, producer.sent, kills=kills, ran_while_paused=ran)


def end_while_it_runs(stage: Stage) -> Tally:
    """A task in C code that lets no other thread run is cancelled, and its process ended."""
    stage.worker(processes=2)
    producer, numbers, whys = stage.producer(), count(1_000), set()
    look = producer.bridge.store.messages.look

    def ended_s() -> float:
        n = next(numbers)
        sent = producer.task("selfish").enqueue(n, 60)
        until(lambda: n in stage.evidence.look().starts, PATIENCE_S, "it runs")
        began_s = time.monotonic()
        cancel(producer.bridge, sent.id, kill=True, who="me")
        until(lambda: (record := look(sent.id)) and record.state == "DONE", PATIENCE_S, "it is over")
        took_s = time.monotonic() - began_s
        record = look(sent.id)
        whys.add(record.why if record else "")
        return took_s

    seconds = fastest(2.5, ended_s)
    producer.send_all("plain", range(10, 20))
    stage.until_done(producer.sent)
    return stage.evidence.tally(producer.sent, seconds, whys=whys)


def test_worker_that_drains_ends_what_is_cancelled(stage: Stage):
    """It waits no longer for what an operator has ended: neither for its grace time, nor for the task."""
    worker, producer = stage.worker(processes=1, options=["--grace", "300"]), stage.producer()
    sent = producer.task("plain").enqueue(1, 300)
    until(lambda: 1 in stage.evidence.look().starts, PATIENCE_S, "it runs")
    send([worker.pid], signal.SIGTERM)
    until(lambda: "draining" in worker.read(), PATIENCE_S, "it drains")

    cancel(producer.bridge, sent.id, kill=True, who="me")

    assert 0 == worker.wait(PATIENCE_S)
    record = producer.bridge.store.messages.look(sent.id)
    assert record
    assert ("DONE", "cancelled by me") == (record.state, record.why)


def test_nothing_is_lost_or_doubled_by_a_pause(played: Played, engine: str, figures: Callable[[Tally], None]):
    """Whoever is killed while things wait, and though nobody finishes resuming: each runs, and has one effect."""
    tally = played["kill_while_paused", engine].result()

    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.more["ran_while_paused"]), tally
    assert tally.repeated <= tally.more["kills"], tally


def test_cancelled_task_is_ended_within_two_seconds(played: Played, engine: str, figures: Callable[[Tally], None]):
    """Also in C code; it has no effect, is no failure, and the worker goes on."""
    tally = played["end_while_it_runs", engine].result()

    figures(tally)
    assert (0, 0, {"cancelled by me"}) == (tally.lost, tally.repeated, tally.more["whys"]), tally
    assert tally.seconds <= 2.5, tally
