"""What takes long because a lease has to lapse, or must not: all of it at once, for it only waits."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from itertools import count

import pytest

from ..servers import fastest, until
from .evidence import Tally
from .harness import ENGINES, LAPSED, PATIENCE_S, Played, Stage, at_once, lives, named, send

pytestmark = pytest.mark.service("redis")

#: A worker that nobody saw die: after so long what it had fetched goes back; a minute outside of tests.
VISIBILITY = {"taskbridge.redis.shelf.VISIBILITY_MS": 8_000, "taskbridge.worker.keep.BEAT_EVERY_S": 2.0}

#: The grace time of a drain, and how much longer it may take to go, seconds.
GRACE_S, GONE_S = 8, 5


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
    until(lambda: len(stage.evidence.look().starts) == 2, PATIENCE_S, "both run")
    producer.send("plain", range(2, 22))
    stage.server.pause()
    time.sleep(for_s)
    stage.server.resume()
    stage.until_done(producer.sent, quiet_s=tasks_s + PATIENCE_S)
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
    producer.send("held", [0])
    until(lambda: stage.evidence.look().starts, PATIENCE_S, "the first has begun")
    frozen = first.everyone()
    send(frozen, signal.SIGSTOP)
    stage.evidence.let_go(0)
    stage.worker(processes=1)
    stage.until_done([0], [0])
    send(reversed(frozen), signal.SIGCONT)
    until(lambda: "refused" in first.read(), PATIENCE_S, "the first was told")
    producer.send("plain", range(1, 20))
    stage.until_done(producer.sent)
    until(lambda: not producer.bridge.store.messages.running(), PATIENCE_S, "no claim stands")
    tally = stage.evidence.tally(producer.sent, time.monotonic() - began_s, [0])
    tally.more["ends"] = len(stage.evidence.ends[0])
    return tally


def test_a_worker_that_was_overtaken_has_its_result_refused(
    played: Played, engine: str, figures: Callable[[Tally], None]
):
    """Another began the message after the lease: one effect, one end, and the late worker goes on with others."""
    tally = played["overtake", engine].result()

    figures(tally)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert (1, 1) == (tally.repeated, tally.more["ends"]), tally


def deafen(stage: Stage) -> Tally:
    """One of two children takes nothing any more, while work waits."""
    producer, began_s = stage.producer(), time.monotonic()
    worker = stage.worker(constants={"taskbridge.worker.supervisor.DEAF_S": 6.0})
    deaf, well = worker.children()
    send([deaf], signal.SIGSTOP)
    producer.send("once", range(1_200), 0.02)
    until(lambda: not lives(deaf), PATIENCE_S, "it is replaced")
    until(lambda: len(worker.children()) == 2, PATIENCE_S, "by another")
    assert well in worker.children()
    stage.until_done(producer.sent, producer.sent)
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, producer.sent)


def test_a_deaf_child_is_replaced(played: Played, engine: str, figures: Callable[[Tally], None]):
    """It has work waiting and takes none; the other, which takes it, stays."""
    tally = played["deafen", engine].result()

    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally


def drain(stage: Stage, *, by_group: bool) -> Tally:
    """Told to end, by SIGTERM or by Ctrl-C, with a task that ends within the grace time and one that does not."""
    producer, turns = stage.producer(), count()

    def took_s() -> float:
        first = 100 * next(turns)
        ends, stays, *others = range(first, first + 52)
        worker = stage.worker(options=["--grace", str(GRACE_S)])
        producer.send("held", [ends, stays])
        producer.send("once", others)
        until(lambda: {ends, stays} <= stage.evidence.look().starts.keys(), PATIENCE_S, "both run")
        before, began_s = stage.evidence.ended(), time.monotonic()
        if by_group:
            os.killpg(worker.pid, signal.SIGINT)
        else:
            send([worker.pid], signal.SIGTERM)
        until(lambda: "draining" in worker.read(), PATIENCE_S, "it drains")
        stage.evidence.let_go(ends)
        assert 0 == worker.wait(PATIENCE_S)
        seconds = time.monotonic() - began_s
        assert {ends} == stage.evidence.ended() - before
        assert [] == producer.bridge.store.messages.running(), "no lease has to lapse"
        stage.evidence.let_go(stays)
        return seconds

    seconds = fastest(GRACE_S + GONE_S, took_s)
    last = stage.worker()
    stage.until_done(producer.sent, producer.sent)
    assert LAPSED not in last.read(), "the unfinished one runs again at once"
    return stage.evidence.tally(producer.sent, seconds, producer.sent, turns=next(turns))


@pytest.mark.parametrize("how", ["drain_by_signal", "drain_by_ctrl_c"])
def test_a_drain_finishes_what_runs_and_gives_back_the_rest(
    played: Played, engine: str, how: str, figures: Callable[[Tally], None]
):
    """What ends within the grace time ends; what does not runs again elsewhere, at once: no lease has to lapse."""
    tally = played[how, engine].result()

    figures(tally)
    assert (0, 0, tally.more["turns"]) == (tally.lost, tally.doubled, tally.repeated), tally
    assert GRACE_S - 0.5 < tally.seconds < GRACE_S + GONE_S, tally


def drain_without_store(stage: Stage) -> Tally:
    """Told to end while the store hangs."""
    producer, worker, began_s = stage.producer(), stage.worker(options=["--grace", "1"]), time.monotonic()
    producer.send("held", range(2))
    until(lambda: len(stage.evidence.look().starts) == 2, PATIENCE_S, "both run")
    stage.server.pause()
    assert 0 == worker.stop(seconds=30)
    stage.server.resume()
    stage.evidence.let_go(0, 1)
    stage.worker()
    stage.until_done(producer.sent, producer.sent)
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
    until(lambda: len(stage.evidence.ended()) > 100, PATIENCE_S, "it is in the middle")
    kills = worker.kill()
    other = next(engine for engine in ENGINES if engine != stage.engine)
    stage.worker(engine=other, options=["--backends", "celery,dramatiq"], constants=VISIBILITY)
    stage.until_done(producer.sent, producer.sent)
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, producer.sent, kills=kills)


def test_what_a_killed_worker_held_comes_back_after_a_switch(
    played: Played, engine: str, figures: Callable[[Tally], None]
):
    """What it had fetched lies on shelves of the old engine; the worker of both brings it back."""
    tally = played["kill_then_switch", engine].result()

    figures(tally)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert tally.repeated <= tally.more["kills"], tally
