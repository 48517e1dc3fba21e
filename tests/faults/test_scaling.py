"""Operators give the groups of running workers more or fewer processes, and end workers, through the store."""

from __future__ import annotations

import time

import pytest

from taskbridge.operations import workers as work

from ..servers import TURNS, until
from .harness import PATIENCE_S, Stage

pytestmark = pytest.mark.service("redis")

#: How soon a worker does each thing that it is told to on a busy machine, seconds; the promise is a second.
SOON_S = {"it has four": 3, "four again": 3, "three have finished": 5, "nobody is left": 5, "as it was started": 5}


def test_a_group_grows_shrinks_and_ends(stage: Stage):
    """Within a second each; what a process runs it finishes, nothing is lost, and nothing runs twice.

    A child that is killed meanwhile, and a reload, leave the number as it was asked for.
    """
    producer, worker = stage.producer(), stage.worker(processes=2)
    bridge = producer.bridge
    until(lambda: [one.groups for one in work.workers(bridge)], PATIENCE_S, "it is announced")
    best_s: dict[str, float] = {}
    kills = 0

    def soon(count: int, what: str) -> None:
        began_s = time.monotonic()
        until(lambda: len(worker.children()) == count, PATIENCE_S, what)
        best_s[what] = min(time.monotonic() - began_s, best_s.get(what, PATIENCE_S))

    for turn in range(TURNS):
        producer.send_all("once", range(20 * turn, 20 * turn + 20), 0.25)
        producer.send_all("plain", range(1_000 + 50 * turn, 1_050 + 50 * turn), 0.01)
        work.scale(bridge, "default", 4)
        soon(4, "it has four")
        kills += worker.kill_a_child()
        soon(4, "four again")
        work.scale(bridge, "default", 1)
        soon(1, "three have finished")
        worker.reload()
        until(lambda turn=turn: worker.read().count("serving") == 2 + turn, PATIENCE_S, "new code serves")
        work.scale(bridge, "default", 0)
        soon(0, "nobody is left")
        assert worker.lives()
        until(lambda: [one.processes for one in work.workers(bridge)] == [0], PATIENCE_S, "and says so")
        work.reset(bridge, "default")
        soon(2, "as it was started")
        if all(best_s[what] < SOON_S[what] for what in SOON_S):
            break
    else:
        pytest.fail(f"expected {SOON_S}, and at best it took {best_s}")

    effects = {n for n in producer.sent if n < 1_000}
    stage.until_done(producer.sent, effects)
    tally = stage.evidence.tally(producer.sent, 0, effects)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert kills >= tally.repeated, "only what killed children ran"


def test_a_group_that_is_shut_down_stays_so_over_a_reload(stage: Stage):
    """New code serves with as many processes as are asked for: not for an instant with those of the start."""
    producer, worker = stage.producer(), stage.worker(processes=2)
    bridge = producer.bridge
    until(lambda: [one.groups for one in work.workers(bridge)], PATIENCE_S, "it is announced")
    work.scale(bridge, "default", 0)
    until(lambda: not worker.children(), PATIENCE_S, "nobody is left")
    producer.send_all("plain", range(5), 0.0)
    names = {found.name for found in work.workers(bridge)}

    worker.reload()
    until(lambda: worker.read().count("serving") == 2, PATIENCE_S, "new code serves")
    until(lambda: len({found.name for found in work.workers(bridge)} | names) == 2, PATIENCE_S, "it is announced, too")

    assert "processes now, 0 before" not in worker.read()
    assert not worker.children()
    assert set() == stage.evidence.ended()


def test_a_worker_is_told_to_end(stage: Stage):
    """It finishes what it runs and ends with 0; another goes on, and one that starts later is not meant."""
    producer, first, second = stage.producer(), stage.worker(processes=1), stage.worker(processes=1)
    bridge = producer.bridge
    until(lambda: len(work.workers(bridge)) == 2, PATIENCE_S, "both are announced")
    names = {one.name.split(".")[-2]: one.name for one in work.workers(bridge)}
    producer.send_all("once", range(6), 0.2)

    work.shutdown(bridge, [names[str(first.pid)]])

    assert 0 == first.wait(PATIENCE_S)
    assert "an operator asked this worker to end" in first.read()
    first.start()
    stage.until_done(producer.sent, producer.sent)
    assert second.lives()
    tally = stage.evidence.tally(producer.sent, 0, producer.sent)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
