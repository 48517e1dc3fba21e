"""What takes long because a lease has to lapse, or must not: all of it at once, for it only waits."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from ..servers import until
from .harness import ENGINES, Played, Stage, Tally, at_once, lives, named, send

pytestmark = [pytest.mark.service("redis"), pytest.mark.timeout(200)]

#: A worker that nobody saw die: after so long what it had fetched goes back; a minute outside of tests.
VISIBILITY = {"taskbridge.redis.shelf.VISIBILITY_MS": 8_000, "taskbridge.worker.keep.BEAT_EVERY_S": 2.0}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Every scenario of this module on both engines."""
    drains = [named("drain_by_signal", drain, by_group=False), named("drain_by_ctrl_c", drain, by_group=True)]
    scenarios = [named("hang", hang, for_s=17, tasks_s=36), overtake, deafen, drain_without_store, kill_then_switch]
    return at_once(tmp_path_factory.mktemp("played"), *scenarios, *drains)


@pytest.fixture(scope="module")
def played_for_long(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return at_once(tmp_path_factory.mktemp("played"), named("hang", hang, for_s=40, tasks_s=60))


def hang(stage: Stage, for_s: float, tasks_s: float) -> Tally:
    """Redis hangs for longer than a lease while tasks run; they run on past the lease of grace that follows."""
    producer, began_s = stage.producer(), time.monotonic()
    stage.worker()
    producer.send("plain", range(2), tasks_s)
    until(lambda: len(stage.evidence.look().starts) == 2, 30, "both run")
    producer.send("plain", range(2, 22))
    stage.server.pause()
    time.sleep(for_s)
    stage.server.resume()
    stage.until_done(producer.sent, tasks_s)
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s)


@pytest.mark.parametrize("how", ["played", pytest.param("played_for_long", marks=pytest.mark.soak)])
def test_a_redis_that_hangs_has_nothing_begun_again(
    request: pytest.FixtureRequest, engine: str, how: str, figures: Callable[[Tally], None]
):
    """Claims could not be renewed while it hung, and none is taken away: each task runs once."""
    tally = request.getfixturevalue(how)["hang", engine].result()

    figures(tally)
    assert (0, 0) == (tally.lost, tally.repeated), tally


def overtake(stage: Stage) -> Tally:
    """A worker is stopped until another has run its message, then goes on."""
    producer, began_s = stage.producer(), time.monotonic()
    first = stage.worker(processes=1)
    producer.send("once", [0], 3)
    until(lambda: stage.evidence.look().starts, 10, "the first has begun")
    frozen = first.everyone()
    send(frozen, signal.SIGSTOP)
    stage.worker(processes=1)
    stage.until_done([0], 60, [0])
    send(reversed(frozen), signal.SIGCONT)
    until(lambda: "refused" in first.read(), 10, "the first was told")
    producer.send("plain", range(1, 20))
    stage.until_done(producer.sent, 15)
    tally = stage.evidence.tally(producer.sent, time.monotonic() - began_s, [0])
    tally.more["ends"] = len(stage.evidence.ends[0])
    tally.more["running"] = len(producer.bridge.store.messages.running())
    return tally


def test_a_worker_that_was_overtaken_has_its_result_refused(
    played: Played, engine: str, figures: Callable[[Tally], None]
):
    """Another began the message after the lease: one effect, one end, and the late worker goes on with others."""
    tally = played["overtake", engine].result()

    figures(tally)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert (1, 1, 0) == (tally.repeated, tally.more["ends"], tally.more["running"]), tally


def deafen(stage: Stage) -> Tally:
    """One of two children takes nothing any more, while work waits."""
    producer, began_s = stage.producer(), time.monotonic()
    worker = stage.worker(constants={"taskbridge.worker.supervisor.DEAF_S": 6.0})
    deaf, well = worker.children()
    send([deaf], signal.SIGSTOP)
    producer.send("once", range(1_200), 0.02)
    until(lambda: not lives(deaf), 15, "it is replaced")
    until(lambda: len(worker.children()) == 2, 10, "by another")
    assert well in worker.children()
    stage.until_done(producer.sent, 40, producer.sent)
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, producer.sent)


def test_a_deaf_child_is_replaced(played: Played, engine: str, figures: Callable[[Tally], None]):
    """It has work waiting and takes none; the other, which takes it, stays."""
    tally = played["deafen", engine].result()

    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally


def drain(stage: Stage, *, by_group: bool) -> Tally:
    """Told to end, by SIGTERM or by Ctrl-C, with a task that ends within the grace time and one that does not."""
    producer, first = stage.producer(), stage.worker(options=["--grace", "3"])
    producer.send("once", [0], 1)
    producer.send("once", [1], 6)
    producer.send("once", range(2, 52))
    until(lambda: len(stage.evidence.look().starts) == 2, 30, "both run")
    began_s = time.monotonic()
    if by_group:
        os.killpg(first.pid, signal.SIGINT)
    else:
        send([first.pid], signal.SIGTERM)
    assert 0 == first.wait(15)
    took_s = time.monotonic() - began_s
    assert {0} == stage.evidence.ended()
    stage.worker()
    until(lambda: len(stage.evidence.look().starts.get(1, ())) == 2, 8, "the unfinished one runs again, and at once")
    stage.until_done(producer.sent, 30, producer.sent)
    return stage.evidence.tally(producer.sent, took_s, producer.sent)


@pytest.mark.parametrize("how", ["drain_by_signal", "drain_by_ctrl_c"])
def test_a_drain_finishes_what_runs_and_gives_back_the_rest(
    played: Played, engine: str, how: str, figures: Callable[[Tally], None]
):
    """What ends within the grace time ends; what does not runs again elsewhere, at once: no lease has to lapse."""
    tally = played[how, engine].result()

    figures(tally)
    assert (0, 0, 1) == (tally.lost, tally.doubled, tally.repeated), tally
    assert 2.5 < tally.seconds < 8, tally


def drain_without_store(stage: Stage) -> Tally:
    """Told to end while the store hangs."""
    producer, worker, began_s = stage.producer(), stage.worker(options=["--grace", "1"]), time.monotonic()
    producer.send("once", range(2), 3)
    until(lambda: len(stage.evidence.look().starts) == 2, 30, "both run")
    stage.server.pause()
    assert 0 == worker.stop(seconds=30)
    stage.server.resume()
    stage.worker()
    stage.until_done(producer.sent, 60, producer.sent)
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, producer.sent)


def test_a_drain_without_a_store_ends_all_the_same(played: Played, engine: str, figures: Callable[[Tally], None]):
    """It does not wait for the store for ever; what its children ran comes back when its lease lapses."""
    tally = played["drain_without_store", engine].result()

    figures(tally)
    assert (0, 0, 2) == (tally.lost, tally.doubled, tally.repeated), tally


def kill_then_switch(stage: Stage) -> Tally:
    """A whole worker is killed with much in hand, then the engine is switched; the next worker serves both."""
    producer, began_s = stage.producer(), time.monotonic()
    worker = stage.worker(processes=1)
    producer.send_all("once", range(1_000), 0.001)
    until(lambda: len(stage.evidence.ended()) > 100, 20, "it is in the middle")
    kills = worker.kill()
    other = next(engine for engine in ENGINES if engine != stage.engine)
    stage.worker(engine=other, options=["--backends", "celery,dramatiq"], constants=VISIBILITY)
    stage.until_done(producer.sent, 60, producer.sent)
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, producer.sent, kills=kills)


def test_what_a_killed_worker_held_comes_back_after_a_switch(
    played: Played, engine: str, figures: Callable[[Tally], None]
):
    """What it had fetched lies on shelves of the old engine; the worker of both brings it back."""
    tally = played["kill_then_switch", engine].result()

    figures(tally)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert tally.repeated <= tally.more["kills"], tally
