"""The store's primary dies, or its replica hangs, while the broker is another server: what was acknowledged is known.

A replica that is cut off before its primary is killed has nothing of the last moments: without ``store_wait`` it is
lost: ``FAULTS_STORE_WAIT= pytest -s -k promoted`` shows how much, and fails.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from tests.rabbitmq import RabbitServer

from ..servers import HOST, Sentinel, until
from ..sqs import SqsServer
from .evidence import Tally
from .harness import ENGINES, Producer, Stage, Worker
from .producing import kinds, produce

pytestmark = [pytest.mark.service("redis"), pytest.mark.timeout(900)]

#: What the store waits for.
STORE_WAIT = os.environ.get("FAULTS_STORE_WAIT", "replica")

#: How often a primary is killed.
KILLS = 4

#: How long a replica is cut off before that, seconds: so much is not on it.
BEHIND_S = (0.0, 0.4)

#: How long it is watched that nothing happens, seconds.
WATCHED_S = 5.0

#: How much of a processor a child may use that waits for a replica: it asks a few times a second at most.
IDLE = 0.05

CHILDREN = 2

#: What a child says that waits for a replica, with its pid.
WAITS = re.compile(r" (\d+) WARNING .*no replica has confirmed")

#: Each has its acknowledgement; what is confirmed before it is the same.
BROKERS = ["rabbitmq", pytest.param("sqs", marks=pytest.mark.soak)]

#: A port that nobody listens on.
NOBODY = 1


class WatchedStage(Stage):
    """A stage whose store is found through a sentinel, and waits for its replica.

    Args:
        engine, folder, broker: as for ``Stage``.
    """

    def __init__(self, engine: str, folder: Path, broker: Callable[[], str]) -> None:
        super().__init__(engine, folder, broker=broker)
        self.sentinel = Sentinel(appendonly=True)

    def __enter__(self) -> Self:
        self._stack.enter_context(self.sentinel)
        return self

    def store_url(self) -> str:
        return self.sentinel.url()

    def worker(self, **options: Any) -> Worker:
        waits = {"TASKBRIDGE_STORE_WAIT": STORE_WAIT, "TASKBRIDGE_STORE_WAIT_TIMEOUT": "1"}
        return super().worker(environment=waits, **options)

    def producer(self, url: str = "", engine: str = "", **settings: Any) -> Producer:
        return super().producer(url, engine, store_wait=STORE_WAIT, store_wait_timeout=1, **settings)


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitServer]:
    with RabbitServer() as server:
        yield server


@contextmanager
def stages(broker: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[list[WatchedStage]]:
    """A stage per engine, each with a broker and a store of its own."""
    with ExitStack() as stack:
        found = []
        for engine in ENGINES:
            if broker == "sqs":
                url = stack.enter_context(SqsServer()).url()
            else:
                node: RabbitServer = request.getfixturevalue("node")
                url = node.new_vhost(f"{folder.name}-{engine}-{random.randrange(10**6)}")
            found.append(stack.enter_context(WatchedStage(engine, folder / engine, lambda url=url: url)))
        yield found


def kill_primaries(stage: WatchedStage) -> Tally:
    """A primary is killed and its replica promoted, again and again, while a producer produces and a worker works."""
    worker, producer, stopping = stage.worker(processes=CHILDREN), stage.producer(), threading.Event()
    thread = threading.Thread(target=produce, args=(producer, range(100_000), stopping))
    began_s = time.monotonic()
    thread.start()
    try:
        until(lambda: len(stage.evidence.ended()) > 20, 60, "it works")
        for _ in range(KILLS):
            ended = len(stage.evidence.ended())
            behind_s = random.uniform(*BEHIND_S)
            stage.sentinel.replica.cli().replicaof(HOST, NOBODY)
            time.sleep(behind_s)
            stage.sentinel.kill_primary()
            stage.kills += 1
            stage.sentinel.bring_back()
            until(lambda ended=ended: len(stage.evidence.ended()) > ended + 20, 60, "it works again")
    finally:
        stopping.set()
        thread.join()
    stage.until_done(producer.sent, kinds(producer.sent))
    took_s = time.monotonic() - began_s
    assert worker.lives()
    more = {"unsure": len(producer.unsure), "kills": stage.kills}
    return stage.evidence.tally(producer.sent, took_s, kinds(producer.sent), **more)


@pytest.mark.parametrize("broker", BROKERS)
def test_what_was_acknowledged_is_known_to_the_replica_that_is_promoted(
    broker: str, request: pytest.FixtureRequest, tmp_path: Path, figures: Callable[[Tally], None]
):
    """Nothing is lost and nothing doubled, though the promoted one has nothing of the last moments of its primary."""
    with stages(broker, request, tmp_path) as both, ThreadPoolExecutor(len(both)) as pool:
        tallies = list(pool.map(kill_primaries, both))

    for tally in tallies:
        figures(tally)
    for tally in tallies:
        assert (0, 0) == (tally.lost, tally.doubled), tally
        assert tally.repeated <= tally.more["kills"] * CHILDREN, tally


def hang_a_replica(stage: WatchedStage) -> Tally:
    """The replica hangs for some seconds while there is work."""
    worker, producer = stage.worker(processes=CHILDREN), stage.producer()
    began_s = time.monotonic()
    producer.send("once", range(60))
    until(lambda: len(stage.evidence.ended()) > 10, 60, "it works")

    stage.sentinel.replica.pause()
    producer.send("once", range(60, 120))  # all before may have ended
    with_effect = set(producer.sent)
    until(lambda: len({*WAITS.findall(worker.read())}) == CHILDREN, 60, "all children wait")
    backend = producer.bridge.backend(stage.engine)
    ended, used_s, said = len(stage.evidence.ended()), used(worker), len(WAITS.findall(worker.read()))
    watched_s = time.monotonic()
    time.sleep(WATCHED_S)
    more = {
        "ended_meanwhile": len(stage.evidence.ended()) - ended,
        "processor": round(used(worker) - used_s, 3),
        "warnings": len(WAITS.findall(worker.read())) - said,
        "waiting": backend.depth("faults"),
    }
    more["watched_s"] = round(time.monotonic() - watched_s, 1)
    stage.sentinel.replica.resume()

    stage.until_done(with_effect, with_effect)
    return stage.evidence.tally(with_effect, time.monotonic() - began_s, with_effect, **more)


def used(worker: Worker) -> float:
    """Processor time of its children, seconds."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in worker.children())


@pytest.mark.parametrize("broker", BROKERS)
def test_nothing_ends_while_the_replica_hangs(
    broker: str, request: pytest.FixtureRequest, tmp_path: Path, figures: Callable[[Tally], None]
):
    """No child begins another message, none spins, each says so every few seconds; then all goes on, once each."""
    with stages(broker, request, tmp_path) as both, ThreadPoolExecutor(len(both)) as pool:
        tallies = list(pool.map(hang_a_replica, both))

    for tally in tallies:
        figures(tally)
    for tally in tallies:
        assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
        assert 0 == tally.more["ended_meanwhile"], tally
        assert tally.more["processor"] < IDLE * CHILDREN * tally.more["watched_s"], tally
        assert 1 <= tally.more["warnings"] <= CHILDREN * (tally.more["watched_s"] + 1), tally
