"""Long tasks on RabbitMQ, which is impatient with clients that give no sign of life or acknowledge nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.rabbitmq import RabbitServer

from ..servers import fastest, until
from .evidence import Tally
from .harness import ENGINES, PATIENCE_S, Played, Producer, Stage, at_once, named

pytestmark = [pytest.mark.service("rabbitmq"), pytest.mark.timeout(900)]

#: What its log says of a client that gave no sign of life, and of one that acknowledged nothing in time.
SILENT, UNACKNOWLEDGED = "missed heartbeats from client", "delivery acknowledgement on channel"


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitServer]:
    """One for all of them."""
    with RabbitServer() as server:
        yield server


def place(node: RabbitServer, **options: object) -> Callable[[str], Callable[[], str]]:
    """Gives a stage a virtual host of its name."""

    def given(name: str) -> Callable[[], str]:
        node.new_vhost(name)
        return lambda: node.url(name, **options)

    return given


@pytest.fixture(scope="module")
def played(node: RabbitServer, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Both engines, and all at once what does not ask for another node."""
    folder = tmp_path_factory.mktemp("played")
    fifteen = named("outlasts", outlasts, node=node, seconds=15)
    played = at_once(folder, fifteen, fetched_behind, broker=place(node, heartbeat=3))
    played |= at_once(folder, lets_no_thread_run, broker=place(node, heartbeat=1))
    node.impatient(timeout_ms=3_000)
    return played | at_once(folder, named("unacknowledged", unacknowledged, node=node), broker=place(node))


@pytest.fixture(scope="module")
def played_for_long(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Three minutes, on a node that nobody has made impatient."""
    with RabbitServer() as node:
        scenario = named("outlasts", outlasts, node=node, seconds=180)
        return at_once(tmp_path_factory.mktemp("played"), scenario, broker=place(node, heartbeat=10))


def outlasts(stage: Stage, node: RabbitServer, seconds: int) -> Tally:
    """One task, and one after it."""
    producer, silent = stage.producer(), node.said().count(SILENT)
    producer.send("once", [1], seconds)
    worker = stage.worker(processes=1)
    stage.until_done([1], [1], quiet_s=seconds + PATIENCE_S)
    producer.send("once", [2])
    stage.until_done([1, 2], [1, 2])
    lost = worker.read().count("connection is lost")
    return stage.evidence.tally([1, 2], seconds, [1, 2], silent=node.said().count(SILENT) - silent, connections=lost)


@pytest.mark.parametrize("how", ["played", pytest.param("played_for_long", marks=pytest.mark.soak)])
def test_a_task_longer_than_the_heartbeat_keeps_its_connection(
    request: pytest.FixtureRequest, engine: str, how: str, figures: Callable[[Tally], None]
):
    """Five times as long, or three minutes with ten seconds: it runs once, and the broker misses no sign of life."""
    tally = request.getfixturevalue(how)["outlasts", engine].result()

    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.repeated, tally.doubled), tally
    assert {"silent": 0, "connections": 0} == tally.more


def fetched_behind(stage: Stage, long: str = "held", *seconds: int) -> Tally:
    """A child that had taken many small ones in hand meets a long one."""
    producer, began_s = stage.producer(), time.monotonic()
    producer.send_all("plain", range(600), 0.001)
    producer.send(long, [1_000], *seconds)
    producer.send_all("plain", range(600, 700), 0.001)
    stage.worker()
    until(lambda: 1_000 in stage.evidence.look().starts, PATIENCE_S, "the long one runs")
    small = producer.sent - {1_000}
    stage.until_done(small)
    never_s = [math.inf]
    ends = dict(stage.evidence.look().ends)
    waited = len([n for n in small if ends.get(n, never_s)[0] >= ends.get(1_000, [time.time()])[0]])
    stage.evidence.let_go(1_000)
    stage.until_done(producer.sent)
    producer.send("plain", range(700, 720))
    stage.until_done(producer.sent)
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, waited=waited)


def test_what_lies_behind_a_long_task_does_not_wait_for_it(
    played: Played, engine: str, figures: Callable[[Tally], None]
):
    """What is not begun goes back to the queues, and others run it."""
    tally = played["fetched_behind", engine].result()

    figures(tally)
    assert (0, 0, 0, 0) == (tally.lost, tally.repeated, tally.doubled, tally.more["waited"]), tally


def lets_no_thread_run(stage: Stage) -> Tally:
    """The long one holds the interpreter, so nobody can give anything back, nor a sign of life."""
    return fetched_behind(stage, "selfish", 20)


def test_a_task_that_lets_no_thread_run_costs_its_connection_alone(
    played: Played, engine: str, figures: Callable[[Tally], None]
):
    """The broker takes its worker for dead, and others run what that had fetched; the task runs once."""
    tally = played["lets_no_thread_run", engine].result()

    figures(tally)
    assert (0, 0, 0, 0) == (tally.lost, tally.repeated, tally.doubled, tally.more["waited"]), tally


def unacknowledged(stage: Stage, node: RabbitServer) -> Tally:
    """A task of ten seconds, where the broker waits three for an acknowledgement; then others."""
    producer, before = stage.producer(), node.said().count(UNACKNOWLEDGED)
    producer.send("once", [1], 10)
    worker = stage.worker()
    pids = set(worker.children())
    stage.until_done([1], [1], quiet_s=10 + PATIENCE_S)
    producer.send("once", range(2, 52))
    stage.until_done(producer.sent, producer.sent)
    more = {"closed": node.said().count(UNACKNOWLEDGED) - before, "replaced": len(pids - set(worker.children()))}
    return stage.evidence.tally(producer.sent, 10, producer.sent, **more)


def test_a_task_longer_than_the_consumer_timeout_runs_once(
    played: Played, engine: str, figures: Callable[[Tally], None]
):
    """The broker closes the channel and hands the message out again; the copy is recognised, and the worker goes on."""
    tally = played["unacknowledged", engine].result()

    figures(tally)
    assert (0, 0, 0, 0) == (tally.lost, tally.repeated, tally.doubled, tally.more["replaced"]), tally
    assert tally.more["closed"], "the node was not impatient"


def test_enqueue_is_bounded_while_the_broker_takes_nothing(node: RabbitServer, tmp_path: Path):
    """Short of memory, or hung, it costs a caller what the URL says; what lies there is drained; then all goes on."""
    with ExitStack() as stack:
        given = place(node, timeout=1)
        stages = [stack.enter_context(Stage(e, tmp_path / e, broker=given(f"bounded-{e}"))) for e in ENGINES]
        producers = [stage.producer() for stage in stages]
        for producer in producers:
            producer.send("once", range(20))
        numbers = count(100)
        with node.short_of_memory():
            waits = [fastest(6, lambda one=one: refused_after_s(one, next(numbers))) for one in producers]
            for stage in stages:
                stage.worker(processes=1)
            for stage, producer in zip(stages, producers, strict=True):
                stage.until_done(producer.sent, producer.sent)
                assert producer.sent <= stage.evidence.ended()
        node.pause()
        waits += [fastest(6, lambda one=one: refused_after_s(one, next(numbers))) for one in producers]
        node.resume()
        for stage, producer in zip(stages, producers, strict=True):
            producer.send("once", range(20, 40))
            stage.until_done(producer.sent, producer.sent)

    assert all(0.9 < seconds < 6 for seconds in waits), waits
    for stage, producer in zip(stages, producers, strict=True):
        tally = stage.evidence.tally(producer.sent, 0, producer.sent)
        assert (0, 0) == (tally.lost, tally.doubled), tally


def refused_after_s(producer: Producer, n: int) -> float:
    """Send what nobody takes; returns how long that cost."""
    began_s = time.monotonic()
    producer.send("once", [n])
    took_s = time.monotonic() - began_s
    assert n in producer.unsure
    return took_s
