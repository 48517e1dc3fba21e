"""What a supervisor does when its template dies, and when it is told to end."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import pytest

from ..servers import until
from .harness import Stage, Tally, lives, send

pytestmark = pytest.mark.service("redis")


def test_a_dead_template_is_replaced(stage: Stage, figures: Callable[[Tally], None]):
    """Its children die with it, and others come: nothing is lost, and what they ran runs again at once."""
    producer, began_s = stage.producer(), time.monotonic()
    worker = stage.worker()
    producer.send_all("once", range(400), 0.02)
    kills = 0
    for _ in range(2):
        until(lambda: stage.evidence.look().starts and worker.template() and worker.children(), 10, "it works")
        time.sleep(random.uniform(0, 1))
        kills += max(1, len(worker.children()))
        send([worker.template()], signal.SIGKILL)
        until(lambda: worker.lives() and len(worker.children()) == 2, 10, "others have come")

    stage.until_done(producer.sent, 12, producer.sent)

    tally = stage.evidence.tally(producer.sent, time.monotonic() - began_s, producer.sent, kills=kills)
    figures(tally)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert tally.repeated <= kills, tally


def test_a_template_that_dies_while_children_are_ordered_is_replaced(stage: Stage):
    """Whatever was on its way between the two: all posts are filled again."""
    worker = stage.worker(constants={"taskbridge.worker.supervisor.PATIENCE_S": 0.5})
    for _ in range(6):
        victims = [*worker.children(), worker.template()]
        send(victims, signal.SIGKILL)
        time.sleep(random.uniform(0.15, 0.4))
        until(lambda: worker.lives() and worker.template(), 10, "another template")
    until(lambda: worker.lives() and len(worker.children()) == 2, 15, "all posts are filled")
    producer = stage.producer()
    producer.send("once", range(20))
    stage.until_done(producer.sent, 10, producer.sent)
    assert producer.sent == stage.evidence.ended()


def test_a_second_signal_ends_it_at_once(stage: Stage):
    """It does not wait for the grace time; what ran is given back."""
    producer, first = stage.producer(), stage.worker()
    producer.send("once", range(2), 6)
    until(lambda: len(stage.evidence.look().starts) == 2, 10, "both run")
    send([first.pid], signal.SIGTERM)
    until(lambda: "draining" in first.read(), 5, "it drains")
    began_s = time.monotonic()

    send([first.pid], signal.SIGTERM)

    assert 0 == first.wait(4)
    assert time.monotonic() - began_s < 3
    stage.worker()
    until(lambda: all(len(starts) == 2 for starts in stage.evidence.look().starts.values()), 5, "both run again")


def test_a_drain_right_after_the_start_ends_at_once(stage: Stage):
    """A child that has only just been forked hears of it too; five times, for it is a matter of milliseconds."""
    for _ in range(5):
        worker = stage.worker(options=["--grace", "20"])
        assert 0 == worker.stop(seconds=6)


def test_a_signal_to_all_its_processes_drains_too(stage: Stage):
    """As a service manager sends it: what runs ends, nothing runs twice, nothing is left behind."""
    producer, worker = stage.producer(), stage.worker()
    producer.send("once", range(2), 1)
    producer.send("once", range(2, 20), 0.1)
    until(lambda: len(stage.evidence.look().starts) == 2, 10, "both run")
    everyone = worker.everyone()

    send(everyone, signal.SIGTERM)

    assert 0 == worker.wait(6)
    until(lambda: not any(map(lives, everyone)), 2, "all have gone")
    assert {0, 1} == stage.evidence.ended()
    stage.worker()
    stage.until_done(producer.sent, 10, producer.sent)
    tally = stage.evidence.tally(producer.sent, 0, producer.sent)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally


def test_what_lies_behind_a_long_task_does_not_wait_for_it(stage: Stage):
    """A child that had taken many small ones in hand gives them back when one turns out to be long."""
    producer = stage.producer()
    producer.send_all("plain", range(600), 0.001)
    producer.send("plain", [1_000], 6)
    producer.send_all("plain", range(600, 700), 0.001)
    stage.worker()
    until(lambda: 1_000 in stage.evidence.look().starts, 20, "the long one runs")

    stage.until_done(producer.sent - {1_000}, 4)

    assert producer.sent - {1_000} == stage.evidence.ended()
    stage.until_done(producer.sent, 10)
    tally = stage.evidence.tally(producer.sent, 0)
    assert (0, 0) == (tally.lost, tally.repeated), tally
