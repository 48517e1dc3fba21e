"""Delayed messages: each once, none early, none late, and no worker holds them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import psutil
import pytest

from ..servers import TURNS
from .evidence import Evidence, Tally
from .harness import PATIENCE_S, Played, Producer, Stage, Worker, at_once, named

pytestmark = pytest.mark.service("redis")

#: What workers fetch is hidden for ten seconds only: shorter than the delays.
VISIBILITY = {"taskbridge.redis.shelf.VISIBILITY_MS": 10_000, "taskbridge.worker.keep.BEAT_EVERY_S": 2.0}

#: The tasks' clock is cut to whole milliseconds on the way.
EARLY_S = 0.002

#: More than two interpreters' caches and less than three thousand messages in hand.
GROWTH_MB = 6.0


def enqueue(producer: Producer, count: int, over_s: float) -> dict[int, float]:
    """Delay so many messages over so many seconds; returns for each the earliest instant at which it may begin."""
    due = {}
    for n in range(count):
        delay = over_s * 0.4 + random.uniform(0, over_s)
        before = time.time()
        producer.send("once", [n], 0, delay=delay)
        due[n] = before + delay
    return due


def lateness(evidence: Evidence, due: dict[int, float]) -> tuple[list[float], float]:
    """How late each began at most, sorted, and how early the earliest did."""
    began = {n: starts[0] for n, starts in evidence.look().starts.items() if n in due}
    return sorted(began[n] - due[n] for n in began), max(due[n] - began[n] for n in began)


def memory_mb(worker: Worker) -> float:
    """What the processes of a worker have for themselves."""
    return sum(psutil.Process(pid).memory_full_info().uss for pid in worker.everyone()) / 1e6


def delay(stage: Stage, count: int, over_s: float) -> Tally:
    """Delay many, and see when each begins, and what the worker's memory does meanwhile."""
    producer, began_s = stage.producer(), time.monotonic()
    worker = stage.worker(constants=VISIBILITY)
    producer.send("once", range(count, count + 200), 0)
    stage.until_done(producer.sent)
    before_mb = memory_mb(worker)

    due = enqueue(producer, count, over_s)
    while_mb = memory_mb(worker)
    stage.until_done(producer.sent, producer.sent, quiet_s=over_s + PATIENCE_S)
    grown_mb = max(while_mb, memory_mb(worker)) - before_mb

    late_s, early_s = lateness(stage.evidence, due)
    tally = stage.evidence.tally(producer.sent, time.monotonic() - began_s, producer.sent)
    tally.more |= {"p50_s": round(late_s[len(late_s) // 2], 3), "p99_s": round(late_s[len(late_s) * 99 // 100], 3)}
    tally.more |= {"early_s": round(early_s, 4), "grown_mb": round(grown_mb, 1)}
    return tally


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Scaled: 3,000 over twenty seconds; once or twice more where others took the machine meanwhile.

    Both engines at once are 300 a second: twice as many are more than two busy cores run, and what then lies in the
    queues is late by the machine, and not by its delay.
    """
    for _ in range(TURNS):
        played = at_once(tmp_path_factory.mktemp("played"), named("delay", delay, count=3_000, over_s=20))
        if all(one.exception() is None and one.result().more["p99_s"] <= 1 for one in played.values()):
            break
    return played


@pytest.fixture(scope="module")
def played_in_haste(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """3,000 over ten seconds."""
    return at_once(tmp_path_factory.mktemp("played"), named("delay", delay, count=3_000, over_s=10))


@pytest.fixture(scope="module")
def played_for_long(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """10,000 over one minute."""
    return at_once(tmp_path_factory.mktemp("played"), named("delay", delay, count=10_000, over_s=60))


@pytest.mark.alone
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "how", ["played", *(pytest.param(how, marks=pytest.mark.soak) for how in ("played_in_haste", "played_for_long"))]
)
def test_delays_are_kept(request: pytest.FixtureRequest, engine: str, how: str, figures: Callable[[Tally], None]):
    """Thousands become due over some seconds: each runs once, none early, p99 within a second, in constant memory."""
    tally = request.getfixturevalue(how)["delay", engine].result()

    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
    assert tally.more["early_s"] <= EARLY_S, tally
    assert tally.more["p99_s"] <= 1, tally
    assert tally.more["grown_mb"] < GROWTH_MB, tally
