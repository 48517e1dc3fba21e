"""Processes are killed while they work."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from itertools import count, islice

import pytest

from ..servers import fastest, until
from .evidence import Tally
from .harness import PATIENCE_S, Played, Stage, at_once, lives, named

pytestmark = pytest.mark.service("redis")

#: A worker that nobody saw die: after so long what it had fetched goes back; a minute outside of tests.
VISIBILITY = {"taskbridge.redis.shelf.VISIBILITY_MS": 10_000, "taskbridge.worker.keep.BEAT_EVERY_S": 2.0}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Scaled, on both engines at once; what nobody saw die is missed after ten seconds."""
    scenario = named("kill_at_random", kill_at_random, count=1_200, constants=VISIBILITY)
    return at_once(tmp_path_factory.mktemp("played"), scenario)


@pytest.fixture(scope="module")
def played_for_long(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """It is missed after a minute, as outside of tests."""
    scenario = named("kill_at_random", kill_at_random, count=2_000, constants={})
    return at_once(tmp_path_factory.mktemp("played"), scenario)


def kill_at_random(stage: Stage, count: int, constants: Mapping[str, float]) -> Tally:
    """So many tasks of 20 ms while a random child is killed every half second, if some have ended meanwhile, and the
    supervisor twice."""
    plain, once = range(count // 2), range(count // 2, count)
    producer = stage.producer()
    producer.send_all("plain", plain)
    producer.send_all("once", once)
    worker = stage.worker(processes=3, constants=constants)
    began_s = time.monotonic()
    kills, before, supervisors = 0, 0, [began_s + 3, began_s + 6]
    while time.monotonic() < began_s + 90 and stage.evidence.ended() != producer.sent:
        time.sleep(random.uniform(0.3, 0.7))
        if supervisors and time.monotonic() > supervisors[0]:
            supervisors.pop(0)
            kills += worker.kill()
            worker.start()
        elif len(stage.evidence.ended()) > before + 20:
            before = len(stage.evidence.ended())
            kills += worker.kill_a_child()
    return stage.evidence.tally(producer.sent, time.monotonic() - began_s, once, kills=kills)


@pytest.mark.parametrize("how", ["played", pytest.param("played_for_long", marks=pytest.mark.soak)])
def test_no_kill_loses_or_doubles_a_message(
    request: pytest.FixtureRequest, engine: str, how: str, figures: Callable[[Tally], None]
):
    """Whoever is killed whenever: nothing lost, no effect doubled, at most one repeat a kill, all done in 90 s."""
    tally = request.getfixturevalue(how)["kill_at_random", engine].result()

    figures(tally)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert tally.repeated <= tally.more["kills"], tally
    assert tally.seconds <= 90, tally


def test_a_message_that_kills_its_process_is_dead_after_its_crashes(stage: Stage, figures: Callable[[Tally], None]):
    """It is begun once and again for each crash it is allowed, then lies among the dead; what stands beside it runs."""
    producer = stage.producer()
    worker = stage.worker()

    producer.send("deadly", [0])
    producer.send("once", range(1, 101))
    until(lambda: producer.bridge.store.dead.list(9), PATIENCE_S, "a dead letter")
    stage.until_done(range(1, 101))

    tally = stage.evidence.tally(producer.sent - {0}, 0, range(1, 101))
    figures(tally)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert 3 == len(stage.evidence.starts[0]), "max_crashes is 2"
    assert [3] == [letter.crashes for letter in producer.bridge.store.dead.list(9)]
    assert worker.lives()


@pytest.mark.parametrize("busy", [True, False])
def test_no_child_outlives_its_supervisor(stage: Stage, busy: bool):
    """The supervisor is killed: template and children end within two seconds, whatever they do."""
    producer, numbers = stage.producer(), count()

    def gone_s() -> float:
        worker, both = stage.worker(), {*islice(numbers, 2)}
        if busy:
            producer.send("held", both)
            until(lambda: both <= stage.evidence.look().starts.keys(), PATIENCE_S, "both children are busy")
        everyone = worker.everyone()
        began_s = time.monotonic()

        worker.kill()

        took_s = time.monotonic() - began_s
        assert 4 == len(everyone)
        assert not any(map(lives, everyone))
        stage.evidence.let_go(*both)
        return took_s

    assert fastest(2, gone_s) < 2
