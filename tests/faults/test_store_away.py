"""Redis restarts, hangs, is cut off, and is full. Broker and store are one Redis here."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from taskbridge.errors import StoreFull

from ..servers import until
from .evidence import Tally
from .harness import Played, Producer, Stage, at_once, named
from .producing import while_producing
from .proxy import Proxy

pytestmark = pytest.mark.service("redis")

#: More connections than this are to be cut.
CUTS = 20

#: What each message that fills the store bears: a thousand fill it, which a busy machine runs in time, too.
BALLAST = "x" * 2_000


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Both kinds of restart, and ten seconds of cuts, on both engines at once."""
    scenarios = [stop_and_start, kill_and_start, named("cut_at_random", cut_at_random, for_s=10)]
    return at_once(tmp_path_factory.mktemp("played"), *scenarios, appendfsync="always")


@pytest.fixture(scope="module")
def played_for_long(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Half a minute of cuts."""
    return at_once(tmp_path_factory.mktemp("played"), named("cut_at_random", cut_at_random, for_s=30))


def stop_and_start(stage: Stage) -> Tally:
    """A Redis that writes each second is told to end, three times, and starts again."""
    stage.server.cli().config_set("appendfsync", "everysec")
    stage.server.cli().config_rewrite()
    return restart(stage, signal.SIGTERM)


def kill_and_start(stage: Stage) -> Tally:
    """A Redis that writes always is killed, three times, and starts again."""
    return restart(stage, signal.SIGKILL)


def restart(stage: Stage, how: signal.Signals) -> Tally:
    def trouble() -> None:
        for _ in range(3):
            time.sleep(random.uniform(1, 2))
            stage.server.stop(how)
            time.sleep(random.uniform(0, 1))
            stage.server.start()

    return while_producing(stage, "", trouble)


@pytest.mark.parametrize("how", ["stop_and_start", "kill_and_start"])
def test_a_redis_that_restarts_loses_nothing(played: Played, engine: str, how: str, figures: Callable[[Tally], None]):
    """Stopped, or killed where it writes always, three times in a run: what was enqueued runs, once."""
    tally = played[how, engine].result()

    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally


def cut_at_random(stage: Stage, for_s: float) -> Tally:
    """Producer and worker reach Redis through a proxy that cuts their connections."""

    def trouble() -> None:
        proxy.cutting = True
        time.sleep(for_s)
        until(lambda: proxy.cut > CUTS, 150, "so many cuts")  # little is sent where the machine is busy
        proxy.cutting = False

    with Proxy(stage.server.port) as proxy:
        tally = while_producing(stage, proxy.url, trouble)
    tally.more["cuts"] = proxy.cut
    return tally


@pytest.mark.parametrize("how", ["played", pytest.param("played_for_long", marks=pytest.mark.soak)])
def test_connections_cut_at_random_lose_nothing(
    request: pytest.FixtureRequest, engine: str, how: str, figures: Callable[[Tally], None]
):
    """In requests, in replies, between the two; the same call is made again until it is answered: each runs once."""
    tally = request.getfixturevalue(how)["cut_at_random", engine].result()

    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
    assert tally.more["cuts"] > CUTS, tally


def fill(producer: Producer, delay: float) -> None:
    """Enqueue until the store takes no more."""
    task = producer.task("once", delay=delay)
    for n in range(100_000):
        task.enqueue(n, 0, BALLAST)
        producer.sent.add(n)


@pytest.mark.parametrize("delay", [0, 2])
def test_a_full_store_refuses_new_work_and_drains(
    engine: str, tmp_path: Path, delay: float, figures: Callable[[Tally], None]
):
    """``enqueue`` raises ``StoreFull``; a worker runs all that was taken, waiting or delayed; then new work fits."""
    with Stage(engine, tmp_path / "stage", maxmemory="5mb") as stage:
        producer, began_s = stage.producer(), time.monotonic()
        with pytest.raises(StoreFull):
            fill(producer, delay)
        worker, full = stage.worker(), len(producer.sent)
        stage.until_done(producer.sent, producer.sent)
        producer.send("once", range(full + 1, full + 101))
        assert not producer.unsure, f"{len(producer.unsure)} refused, {len(stage.evidence.ended())} of {full} have run"
        stage.until_done(producer.sent, producer.sent)
        tally = stage.evidence.tally(producer.sent, time.monotonic() - began_s, producer.sent)

    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
    assert "Traceback" not in worker.read()
