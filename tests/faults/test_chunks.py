"""A run of chunks while all that carries it is killed: each number once, and no chunk begins out of turn."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from ..servers import fastest, until
from .evidence import Tally
from .harness import ENGINES, PATIENCE_S, QUEUE, Played, Stage, at_once, named

pytestmark = pytest.mark.service("redis")

#: A worker that nobody saw die: after so long what it had fetched goes back; a minute outside of tests.
VISIBILITY = {"taskbridge.redis.shelf.VISIBILITY_MS": 10_000, "taskbridge.worker.keep.BEAT_EVERY_S": 2.0}

MODULE = "tests.faults.chunk_tasks"

#: As in ``chunk_tasks``, which only workers import.
CHUNKS, SIZE = 10_000_000, 10


def kill_while_it_runs(stage: Stage, chunks: int, patience_s: float) -> Tally:
    """A run on both engines at once; a child is killed every half second, if a number has ended meanwhile, now and then
    a supervisor.

    Killing a supervisor kills the relay that leads, or the one that waits to.
    """
    total = chunks * SIZE
    options = {"tasks": MODULE, "constants": VISIBILITY, "environment": {"FAULTS_TOTAL": str(total)}}
    workers = [stage.worker(engine=engine, **options) for engine in (stage.engine, *{*ENGINES} - {stage.engine})]
    bridge = stage.producer().bridge
    began_s = time.monotonic()
    run = bridge.external(f"{MODULE}.generate", queue=QUEUE).enqueue(seconds=0.03).id
    kills, before, supervisor_s = 0, 0, began_s + 3
    while time.monotonic() < began_s + patience_s and set(range(total)) - stage.evidence.ended():
        time.sleep(random.uniform(0.1, 0.5))
        worker = random.choice(workers)
        if time.monotonic() > supervisor_s:
            supervisor_s = time.monotonic() + random.uniform(4, 8)
            kills += worker.kill()
            worker.start()
        elif len(stage.evidence.ended()) > before:
            before = len(stage.evidence.ended())
            kills += worker.kill_a_child()

    def ended() -> bool:
        found = bridge.store.runs.look(run)
        return found is not None and found.state == "done" and not found.open

    until(ended, patience_s, f"run {run} ends by itself: {bridge.store.runs.look(run)}")
    starts = stage.evidence.look().starts
    begun = sorted((at, n - CHUNKS) for n, ats in starts.items() if n >= CHUNKS for at in ats)
    out_of_turn = sum(later < earlier for (_, earlier), (_, later) in pairwise(begun))
    repeated = len(begun) - len({number for _, number in begun})
    seconds = time.monotonic() - began_s
    more = {"kills": kills, "chunks": len({number for _, number in begun}), "chunks repeated": repeated}
    return stage.evidence.tally(range(total), seconds, range(total), **more, **{"out of turn": out_of_turn})


def check(tally: Tally, chunks: int, figures: Callable[[Tally], None]) -> None:
    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.more["out of turn"]), tally
    assert chunks == tally.more["chunks"], tally
    assert tally.more["chunks repeated"] <= tally.more["kills"], tally


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Both engines at once, for it mostly waits."""
    run = named("run", kill_while_it_runs, chunks=75, patience_s=90)
    return at_once(tmp_path_factory.mktemp("played"), run)


def test_no_kill_forks_or_ends_a_run(played: Played, engine: str, figures: Callable[[Tally], None]) -> None:
    """Children, supervisors and relays die: every number is enqueued once, chunk after chunk, to the end."""
    check(played["run", engine].result(), 75, figures)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("time_", range(10))
def test_no_kill_forks_or_ends_a_long_run(stage: Stage, time_: int, figures: Callable[[Tally], None]) -> None:
    """Ten times on each engine, 500 chunks."""
    check(kill_while_it_runs(stage, 500, 300), 500, figures)


def test_a_worker_that_is_to_stop_ends_its_chunk(stage: Stage) -> None:
    """In the middle of it, and well; the run goes on with the next number in another worker, and none comes twice."""
    total = 400
    options = {"tasks": MODULE, "environment": {"FAULTS_TOTAL": str(total)}}
    bridge = stage.producer().bridge
    run = bridge.external(f"{MODULE}.walk", queue=QUEUE).enqueue(seconds=0.02).id

    def ended_s() -> float:
        worker, before = stage.worker(**options), len(stage.evidence.ended())
        until(lambda: len(stage.evidence.ended()) > before + 10, PATIENCE_S, "some numbers to be walked")

        began_s = time.monotonic()
        assert 0 == worker.stop()
        took_s = time.monotonic() - began_s

        assert len(stage.evidence.ended()) < total
        return took_s

    assert fastest(2, ended_s) < 2
    stage.worker(**options)
    stage.until_done(range(total))

    starts = stage.evidence.look().starts
    assert list(range(total)) == sorted(starts)
    assert {1} == {len(times) for times in starts.values()}
    until(lambda: (found := bridge.store.runs.look(run)) and found.state == "done", PATIENCE_S, "the run to end")
