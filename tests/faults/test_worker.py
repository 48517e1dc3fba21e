"""What a supervisor does when its template dies, and when it is told to end."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import pytest

from ..servers import fastest, until
from .evidence import Tally
from .harness import LAPSED, PATIENCE_S, Stage, lives, send

pytestmark = pytest.mark.service("redis")


def test_a_dead_template_is_replaced(stage: Stage, figures: Callable[[Tally], None]):
    """Its children die with it, and others come: nothing is lost, and what they ran runs again at once."""
    producer, began_s = stage.producer(), time.monotonic()
    worker = stage.worker()
    producer.send_all("once", range(400), 0.02)
    kills = 0
    for _ in range(2):
        until(lambda: stage.evidence.look().starts and worker.template() and worker.children(), PATIENCE_S, "it works")
        time.sleep(random.uniform(0, 1))
        template = worker.template()
        send([template], signal.SIGSTOP)  # no child comes while they are counted
        kills += max(1, len(worker.children()))
        send([template], signal.SIGKILL)
        gone = f"template {template} is gone"  # or its children are taken for others
        until(lambda template=template: not lives(template), PATIENCE_S, gone)
        until(lambda: worker.lives() and len(worker.children()) == 2, PATIENCE_S, "others have come")

    stage.until_done(producer.sent, producer.sent)

    tally = stage.evidence.tally(producer.sent, time.monotonic() - began_s, producer.sent, kills=kills)
    figures(tally)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert tally.repeated <= kills, tally
    assert LAPSED not in worker.read(), "what they ran was not given back at once"


def test_a_template_that_dies_while_children_are_ordered_is_replaced(stage: Stage):
    """Whatever was on its way between the two: all posts are filled again."""
    worker = stage.worker(constants={"taskbridge.worker.supervisor.PATIENCE_S": 0.5})
    for _ in range(6):
        victims = [*worker.children(), worker.template()]
        send(victims, signal.SIGKILL)
        time.sleep(random.uniform(0.15, 0.4))
        until(lambda: worker.lives() and worker.template(), PATIENCE_S, "another template")
    until(lambda: worker.lives() and len(worker.children()) == 2, PATIENCE_S, "all posts are filled")
    producer = stage.producer()
    producer.send("once", range(20))
    stage.until_done(producer.sent, producer.sent)
    assert producer.sent == stage.evidence.ended()


def test_a_second_signal_ends_it_at_once(stage: Stage):
    """It does not wait for the grace time; what ran is given back."""
    producer = stage.producer()
    producer.send("held", range(2))
    runs = 0

    def ended_s() -> float:
        nonlocal runs
        runs += 1
        worker = stage.worker()
        begun = f"both have begun {runs} times"
        until(lambda: [runs] * 2 == [*map(len, stage.evidence.look().starts.values())], PATIENCE_S, begun)
        send([worker.pid], signal.SIGTERM)
        until(lambda: "draining" in worker.read(), PATIENCE_S, "it drains")
        began_s = time.monotonic()

        send([worker.pid], signal.SIGTERM)

        assert 0 == worker.wait(PATIENCE_S)
        took_s = time.monotonic() - began_s
        assert [] == producer.bridge.store.messages.running(), "no lease has to lapse"
        assert set() == stage.evidence.ended()
        return took_s

    assert fastest(3, ended_s) < 3
    stage.evidence.let_go(*producer.sent)
    stage.worker()
    stage.until_done(producer.sent, producer.sent)
    tally = stage.evidence.tally(producer.sent, 0, producer.sent)
    assert (0, 0, 2 * runs) == (tally.lost, tally.doubled, tally.repeated), tally


def test_a_drain_right_after_the_start_ends_at_once(stage: Stage):
    """A child that has only just been forked hears of it too; five times, for it is a matter of milliseconds."""

    def ended_s() -> float:
        worker = stage.worker(options=["--grace", "60"])
        began_s = time.monotonic()
        assert 0 == worker.stop(seconds=90)
        took_s = time.monotonic() - began_s
        assert took_s < 30, "a child was waited for as long as the grace time"
        return took_s

    for _ in range(5):
        assert fastest(6, ended_s) < 6


def test_a_signal_to_all_its_processes_drains_too(stage: Stage):
    """As a service manager sends it: what runs ends, nothing runs twice, nothing is left behind."""
    producer, worker = stage.producer(), stage.worker()
    producer.send("held", range(2))
    producer.send("once", range(2, 20), 0.1)
    until(lambda: len(stage.evidence.look().starts) == 2, PATIENCE_S, "both run")
    everyone = worker.everyone()

    send(everyone, signal.SIGTERM)

    until(lambda: "draining" in worker.read(), PATIENCE_S, "it drains")
    stage.evidence.let_go(0, 1)
    assert 0 == worker.wait(PATIENCE_S)
    until(lambda: not any(map(lives, everyone)), PATIENCE_S, "all have gone")
    assert {0, 1} == stage.evidence.ended()
    stage.worker()
    stage.until_done(producer.sent, producer.sent)
    tally = stage.evidence.tally(producer.sent, 0, producer.sent)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally


def test_what_lies_behind_a_long_task_does_not_wait_for_it(stage: Stage):
    """A child that had taken many small ones in hand gives them back when one turns out to be long."""
    producer = stage.producer()
    producer.send_all("plain", range(600), 0.001)
    producer.send("held", [1_000])
    producer.send_all("plain", range(600, 700), 0.001)
    stage.worker()
    until(lambda: 1_000 in stage.evidence.look().starts, PATIENCE_S, "the long one runs")

    stage.until_done(producer.sent - {1_000})

    assert producer.sent - {1_000} == stage.evidence.ended()
    stage.evidence.let_go(1_000)
    stage.until_done(producer.sent)
    tally = stage.evidence.tally(producer.sent, 0)
    assert (0, 0) == (tally.lost, tally.repeated), tally
