"""SQS refuses, errs, throttles and is cut off; processes die; waits are longer than SQS knows any.

The store is a Redis that is well. What takes long only waits, so it is played at once.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from ..meddler import Answer, Meddler, error
from ..servers import age, until
from ..sqs import SqsServer
from .evidence import Tally
from .harness import PATIENCE_S, Played, Producer, Stage, play
from .producing import kinds, produce
from .proxy import Proxy

pytestmark = [pytest.mark.service("redis"), pytest.mark.service("sqs"), pytest.mark.timeout(900)]

#: What a worker process has received is hidden for five seconds instead of thirty, and polls end sooner.
BRIEF = {
    **dict.fromkeys(("taskbridge.sqs.receipts.VISIBILITY_S", "taskbridge.sqs.receiver.VISIBILITY_S"), 5),
    "taskbridge.sqs.receiver.POLL_S": 3,
}


CUTS = 30

#: So many messages are sent before SQS errs.
ENOUGH = 50

#: So many a second: the SQS of the tests computes its answers in Python.
PACE = 40.0


class SqsStage(Stage):
    """A stage whose broker is an SQS of its own, with a meddler in front of it."""

    def __init__(self, engine: str, folder: Path, **redis: Any) -> None:
        self.sqs = SqsServer()
        self.meddler = Meddler(self.sqs)
        super().__init__(engine, folder, broker=lambda: self.meddler.url, **redis)

    def __enter__(self) -> Self:
        self._stack.enter_context(self.sqs)
        self._stack.enter_context(self.meddler)
        return super().__enter__()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Every scenario of this module on both engines."""
    scenarios = [err_for_a_while, cut_at_random, kill_children, kill_a_worker, run_for_long, delay_for_long]
    return play(tmp_path_factory.mktemp("played"), SqsStage, *scenarios)


def while_producing(stage: SqsStage, url: str, trouble: Callable[[Producer], None]) -> Tally:
    """Have trouble while a producer produces and a worker works; then wait for the rest, and count."""
    worker = stage.worker(url=url, environment={"FAULTS_CONSTANTS": json.dumps(BRIEF)})
    producer, stopping = stage.producer(url), threading.Event()
    thread = threading.Thread(target=produce, args=(producer, range(100_000), stopping, PACE))
    began_s = time.monotonic()
    thread.start()
    try:
        trouble(producer)
    finally:
        stopping.set()
        thread.join()
    stage.until_done(producer.sent, kinds(producer.sent))
    took_s = time.monotonic() - began_s
    tally = stage.evidence.tally(producer.sent, took_s, kinds(producer.sent), unsure=len(producer.unsure))
    tally.more["left"] = left(producer)
    assert worker.lives()
    return tally


def left(producer: Producer) -> int:
    """How many messages are in SQS yet when all has been done and deleted."""
    backend = producer.bridge.backend(producer.bridge.settings.backend)
    try:
        until(lambda: not backend.depth("faults"), PATIENCE_S, "an empty queue")
    except AssertionError:
        return backend.depth("faults")
    return 0


def err_for_a_while(stage: SqsStage) -> Tally:
    """SQS hangs up for five seconds, throttles a third for five, and answers 500 for twenty.

    It does so when enough was sent, and until somebody was told.
    """

    def throttle(action: str, words: dict[str, Any]) -> Answer:
        return error("ThrottlingException") if random.random() < 0.3 else None

    def trouble(producer: Producer) -> None:
        until(lambda: len(producer.sent) > ENOUGH, 150, "so many to be sent")
        stage.meddler.hangs_up = True
        time.sleep(5)
        stage.meddler.hangs_up = False
        stage.meddler.meddle = throttle
        time.sleep(5)
        stage.meddler.meddle = lambda action, words: error("InternalFailure", 500)
        time.sleep(20)
        until(lambda: producer.unsure, PATIENCE_S, "an enqueue to raise")
        stage.meddler.meddle = lambda action, words: None
        time.sleep(1)

    return while_producing(stage, stage.meddler.url, trouble)


def test_an_sqs_that_errs_loses_nothing(played: Played, engine: str, figures: Callable[[Tally], None]):
    """What ``enqueue`` returned for runs, once; a copy of what it raised for may run, and nothing is left lying."""
    tally = played["err_for_a_while", engine].result()

    figures(tally)
    assert (0, 0, 0, 0) == (tally.lost, tally.doubled, tally.repeated, tally.more["left"]), tally
    assert tally.sent > ENOUGH, tally
    assert tally.more["unsure"], tally


def cut_at_random(stage: SqsStage) -> Tally:
    """Producer and worker reach SQS through a proxy that cuts their connections."""

    def trouble(_producer: Producer) -> None:
        proxy.cutting = True
        until(lambda: proxy.cut > CUTS, 150, "so many cuts")
        proxy.cutting = False

    with Proxy(stage.sqs.port, cuts=100) as proxy:
        tally = while_producing(stage, stage.sqs.url(proxy.port), trouble)
        tally.more["cuts"] = proxy.cut
    return tally


def test_connections_cut_at_random_lose_nothing(played: Played, engine: str, figures: Callable[[Tally], None]):
    """In requests, in replies, between the two: an answer that was lost makes a copy, which is recognised."""
    tally = played["cut_at_random", engine].result()

    figures(tally)
    assert (0, 0, 0, 0) == (tally.lost, tally.doubled, tally.repeated, tally.more["left"]), tally
    assert tally.more["cuts"] > CUTS, tally


def kill_children(stage: SqsStage) -> Tally:
    """Half with an effect, tasks of 20 ms, while a random child is killed every half second and the supervisor once."""
    plain, once = range(200), range(200, 400)
    producer = stage.producer()
    producer.send_all("plain", plain)
    producer.send_all("once", once)
    worker = stage.worker(processes=3, environment={"FAULTS_CONSTANTS": json.dumps(BRIEF)})
    began_s, kills, killed_all = time.monotonic(), 0, False
    while time.monotonic() < began_s + 180 and stage.evidence.ended() != producer.sent:
        time.sleep(random.uniform(0.3, 0.7))
        if kills > 5 and not killed_all:
            killed_all = True
            kills += worker.kill()
            worker.start()
        elif kills < 20:
            kills += worker.kill_a_child()
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, once, kills=kills)


def test_no_kill_loses_or_doubles_a_message(played: Played, engine: str, figures: Callable[[Tally], None]):
    """Whoever is killed whenever: nothing lost, no effect doubled, at most one repeat a kill."""
    tally = played["kill_children", engine].result()

    figures(tally)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert tally.repeated <= tally.more["kills"], tally


def kill_a_worker(stage: SqsStage) -> Tally:
    """All processes of a worker die at once, one message running and others taken or waiting; nothing is brief here."""
    producer = stage.producer()
    worker = stage.worker(processes=2)
    producer.send("held", range(2))
    until(lambda: len(stage.evidence.look().starts) == 2, PATIENCE_S, "two run")
    producer.send_all("plain", range(2, 30))
    time.sleep(0.5)
    worker.kill()
    killed_s = time.monotonic()
    stage.evidence.let_go(0, 1)
    worker.start()
    stage.until_done(producer.sent)
    return stage.evidence.tally(producer.sent, time.monotonic() - killed_s)


def test_what_a_killed_worker_had_runs_again_within_a_minute(
    played: Played, engine: str, figures: Callable[[Tally], None]
):
    """What it ran and what it had taken, with the visibility as it is; the stock setting is twelve hours."""
    tally = played["kill_a_worker", engine].result()

    figures(tally)
    assert (0, 2) == (tally.lost, tally.repeated), tally
    assert tally.seconds < 60, tally


def run_for_long(stage: SqsStage) -> Tally:
    """Tasks of three times the visibility, one of which holds the GIL, so that no thread hides its message."""
    producer = stage.producer()
    stage.worker(processes=2, environment={"FAULTS_CONSTANTS": json.dumps(BRIEF)})
    began_s = time.monotonic()
    producer.send("plain", [0], 16.0)
    producer.send("grips", [1], 12.0)
    until(lambda: len(stage.evidence.look().starts) == 2, PATIENCE_S, "both run")
    producer.send_all("plain", range(2, 12))
    stage.until_done(producer.sent)
    tally = stage.evidence.tally(producer.sent, time.monotonic() - began_s)
    tally.more["left"] = left(producer)
    return tally


def test_a_task_longer_than_the_visibility_runs_once(played: Played, engine: str, figures: Callable[[Tally], None]):
    """Hidden again and again while it runs; where that is not possible, its copy is recognised."""
    tally = played["run_for_long", engine].result()

    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.repeated, tally.more["left"]), tally


def delay_for_long(stage: SqsStage) -> Tally:
    """Twenty minutes of delay, and a retry that waits as long, by a store whose time is let pass: SQS knows no such."""
    producer = stage.producer()
    stage.worker()
    began_s = time.monotonic()
    producer.send("once", range(10), delay=20 * 60)
    producer.send("much_later", range(10, 20), 20 * 60)
    until(lambda: len(stage.evidence.look().fails) == 10, PATIENCE_S, "the first attempts")
    store = producer.bridge.store
    until(lambda: store.messages.counts().get(("faults", "DELAYED")) == 20, PATIENCE_S, "all wait in the store")
    age(stage.server.cli(), "taskbridge", 19 * 60 * 1000)
    time.sleep(1)
    early = len(stage.evidence.look().starts)
    age(stage.server.cli(), "taskbridge", 60 * 1000)
    stage.until_done(producer.sent, producer.sent)
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, producer.sent, early=early)


def test_waits_beyond_what_sqs_knows_are_kept(played: Played, engine: str, figures: Callable[[Tally], None]):
    """Fifteen minutes is SQS's most; the store keeps what waits, and each runs once, none early."""
    tally = played["delay_for_long", engine].result()

    figures(tally)
    assert (0, 0, 0, 0) == (tally.lost, tally.doubled, tally.repeated, tally.more["early"]), tally


@pytest.mark.soak
def test_a_real_minute_of_delay(engine: str, tmp_path: Path, figures: Callable[[Tally], None]):
    """With a visibility of ten seconds: each once, none early, none more than a second late."""
    constants = {name: 10 if "VISIBILITY" in name else value for name, value in BRIEF.items()}
    with ExitStack() as stack:
        stage = stack.enter_context(SqsStage(engine, tmp_path / "stage"))
        producer = stage.producer()
        stage.worker(environment={"FAULTS_CONSTANTS": json.dumps(constants)})
        due = {}
        for n in range(100):
            producer.send("once", [n], 0, delay=60)
            due[n] = time.time() + 60
        stage.until_done(producer.sent, producer.sent)
        tally = stage.evidence.tally(producer.sent, 60, producer.sent)
        late = sorted(starts[0] - due[n] for n, starts in stage.evidence.look().starts.items())

    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
    assert late[0] > -0.05
    assert late[-1] < 1.0
