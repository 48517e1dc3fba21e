"""RabbitMQ is stopped, killed, or closes its connections, and workers of both engines die meanwhile."""

from __future__ import annotations

import itertools
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.rabbitmq import RabbitServer

from ..servers import until
from .evidence import Tally
from .harness import ENGINES, PATIENCE_S, Producer, Stage, at_once, named
from .producing import while_producing

pytestmark = [pytest.mark.service("rabbitmq"), pytest.mark.timeout(900)]

Trouble = Callable[[RabbitServer, list[Stage]], None]

#: What the node's log says when a channel breaks down while its connection is there: the client is told 541.
BROKE_DOWN = re.compile(r"Error on AMQP connection .*state: running\), channel \d+:\n")


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitServer]:
    """A RabbitMQ that may be stopped."""
    with RabbitServer() as server:
        yield server


@pytest.fixture
def stage(engine: str, node: RabbitServer, tmp_path: Path) -> Iterator[Stage]:
    """A stage whose broker is a virtual host of its own."""
    url = node.new_vhost(f"{tmp_path.name}-{random.randrange(10**9)}")
    with Stage(engine, tmp_path / "stage", broker=lambda: url) as stage:
        yield stage


def play(node: RabbitServer, folder: Path, trouble: Trouble) -> dict[str, Tally]:
    """Have trouble with a node while both engines produce and work on it; returns what came of it, by engine."""
    over = threading.Event()
    with ExitStack() as stack:
        urls = {engine: node.new_vhost(f"{folder.name}-{engine}") for engine in ENGINES}
        stages = [
            stack.enter_context(Stage(engine, folder / engine, broker=lambda url=url: url))
            for engine, url in urls.items()
        ]
        with ThreadPoolExecutor(len(stages)) as pool:
            played = {
                stage.engine: pool.submit(while_producing, stage, "", lambda: over.wait() and None) for stage in stages
            }
            try:
                until(lambda: all(stage.evidence.look().ends for stage in stages), 60, "both engines work")
                trouble(node, stages)
            finally:
                over.set()
            return {engine: one.result() for engine, one in played.items()}


def close_and_kill(node: RabbitServer, stages: list[Stage]) -> None:
    """An operator closes all connections, five times, and children are killed."""
    for _ in range(5):
        time.sleep(random.uniform(0.3, 0.8))
        node.close_connections()
        for stage in stages:
            stage.kills += stage.workers[0].kill_a_child()


def stop_and_start(node: RabbitServer, stages: list[Stage]) -> None:
    """The application is stopped for three seconds, and started."""
    node.control("stop_app")
    time.sleep(3)
    node.control("start_app")
    time.sleep(1)


def kill_and_start(node: RabbitServer, stages: list[Stage]) -> None:
    """The whole node is killed, and started."""
    node.stop(signal.SIGKILL)
    node.start()
    time.sleep(1)


@pytest.mark.parametrize("trouble", [close_and_kill, stop_and_start, kill_and_start])
def test_no_trouble_with_the_broker_loses_or_doubles_a_message(
    trouble: Trouble, node: RabbitServer, tmp_path: Path, figures: Callable[[Tally], None]
):
    """What was confirmed runs, and has its effect once, on both engines; only a killed child makes a repeat."""
    played = play(node, tmp_path / trouble.__name__, trouble)

    for tally in played.values():
        figures(tally)
    for tally in played.values():
        assert (0, 0) == (tally.lost, tally.doubled), tally
        assert tally.repeated <= tally.more["kills"], tally
        assert tally.sent > 100, tally


def test_what_wants_no_ledger_runs_while_the_store_is_away(stage: Stage):
    """Sent and worked with the broker alone."""
    producer = stage.producer()
    stage.worker()
    producer.send("light", range(10))
    stage.until_done(range(10))

    stage.server.pause()
    producer.send("light", range(10, 110))
    stage.until_done(range(10, 110))
    meanwhile = stage.evidence.ended() >= set(range(110))
    stage.server.resume()

    assert meanwhile
    assert set(range(110)) == producer.sent
    tally = stage.evidence.tally(producer.sent, 0)
    assert (0, 0) == (tally.lost, tally.repeated), tally


def leaves_no_record(stage: Stage, producer: Producer, numbers: Iterator[int]) -> bool:
    """Whether the worker records nothing of what wants no ledger; after a kill it records all, until told otherwise."""
    n = next(numbers)
    producer.bridge.store.control.record_all(0)
    sent = producer.task("light").enqueue(n, 0.0)
    stage.until_done([n])
    return producer.bridge.store.messages.look(sent.id) is None


def test_a_kill_repeats_no_more_than_was_taken_ahead_of_what_wants_no_ledger(
    stage: Stage, figures: Callable[[Tally], None]
):
    """Acknowledgements of short ones travel together: none is lost, and what was on its way runs again."""
    producer, worker, began_s = stage.producer(), stage.worker(), time.monotonic()
    numbers = itertools.count(100_000)
    for n in range(0, 12_000, 3_000):
        until(lambda: leaves_no_record(stage, producer, numbers), PATIENCE_S, "nothing is recorded")
        producer.send_all("light", range(n, n + 3_000), 0.0)
        until(lambda n=n: len(stage.evidence.ended() & {*range(n, n + 3_000)}) > 100, PATIENCE_S, "they run")
        stage.kills += until(worker.kill_a_child, PATIENCE_S, "a child to kill")
    stage.until_done(producer.sent)

    tally = stage.evidence.tally(producer.sent, time.monotonic() - began_s, kills=stage.kills)
    figures(tally)
    assert (0, 4) == (tally.lost, tally.more["kills"]), tally
    assert tally.repeated <= 32 * tally.more["kills"], tally


@contextmanager
def fed(stage: Stage, producer: Producer, numbers: Iterator[int]) -> Iterator[None]:
    """Thousands of short tasks wait all the while, however fast they are worked."""
    over, tick_s = threading.Event(), 0.05

    def feed() -> None:
        while not over.wait(tick_s):
            if len(producer.sent) - len(stage.evidence.ended()) < 4_000:
                producer.send_all("plain", itertools.islice(numbers, 2_000), 0.0)

    with ThreadPoolExecutor(1) as pool:
        feeding = pool.submit(feed)
        try:
            yield
        finally:
            over.set()
    feeding.result()


def streams(stage: Stage, node: RabbitServer, vhost: str) -> Tally:
    """What waits in quorum queues is pushed to children that are killed, while better bands come in between."""
    producer, began_s = stage.producer(), time.monotonic()
    producer.send_all("once", range(200), 0.0)
    worker = stage.worker()
    with fed(stage, producer, itertools.count(10_000)):
        streams = "messages are pushed, many at a time"  # each look starts a virtual machine
        until(lambda: streaming(node, f"{vhost}-{stage.engine}"), 90, streams)
        for n in range(1_000, 1_600, 100):
            time.sleep(random.uniform(0.1, 0.4))
            stage.kills += worker.kill_a_child()
            producer.send_all("once", range(n, n + 100), 0.0, priority=9)
    node.close_connections()
    effects = {n for n in producer.sent if n < 10_000}
    stage.until_done(producer.sent, effects)
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, effects, kills=stage.kills)


def streaming(node: RabbitServer, vhost: str) -> bool:
    """Whether some consumer may have more than one message pushed."""
    consumers = f'rabbit_amqqueue:consumers_all(<<"{vhost}">>)'
    return node.evaluate(f"[N || One <- {consumers}, {{prefetch_count, N}} <- One, N > 1]") != "[]"


def test_what_streams_from_quorum_queues_is_neither_lost_nor_doubled(tmp_path: Path, figures: Callable[[Tally], None]):
    """Children are killed, connections closed; nothing that we ask for breaks the node's channels."""
    with RabbitServer() as node:

        def broker(name: str) -> Callable[[], str]:
            node.new_vhost(name)
            return lambda: node.url(name, queue_type="quorum")

        played = at_once(tmp_path, named("streams", streams, node=node, vhost="streams"), broker=broker)
        tallies = [one.result() for one in played.values()]
        broke_down = BROKE_DOWN.findall(node.said())

    for tally in tallies:
        figures(tally)
    for tally in tallies:
        assert (0, 0) == (tally.lost, tally.doubled), tally
        assert tally.repeated <= tally.more["kills"], tally
    assert not broke_down
