"""A chain goes on, whoever is killed: its links lie in the store, and the next is made in the step that ends one."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

import pytest

from taskbridge import Chain, chain
from tests.servers import until

from .evidence import Tally
from .harness import PATIENCE_S, QUEUE, TASKS, Played, Producer, Stage, at_once, named
from .test_kills import VISIBILITY

pytestmark = pytest.mark.service("redis")

#: One long chain, and others that keep the children busy: links of each.
LINKS = (200, 60, 60)

#: A chain's numbers begin at its place times this.
APART = 100_000


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """On both engines at once."""
    return at_once(tmp_path_factory.mktemp("played"), named("killed", killed))


def chain_of(producer: Producer, first: int, links: int, seconds: float) -> Chain:
    """Each link says its number, and gives the next one's on; the producer knows of it what it must."""

    def link(n: int, seconds: float = 0) -> int:
        raise NotImplementedError("it runs in workers")

    task = producer.bridge.task(name=f"{TASKS}.link", queue=QUEUE)(link)
    return chain(task.s(seconds) if n else task.s(first, seconds) for n in range(links))


def killed(stage: Stage) -> Tally:
    """A random child is killed every 150 ms or so, if a link has ended meanwhile, and the supervisor once."""
    producer, kills = stage.producer(), 0
    for place, links in enumerate(LINKS):
        chain_of(producer, place * APART, links, 0.02).enqueue()
    wanted = {place * APART + n for place, links in enumerate(LINKS) for n in range(links)}
    worker = stage.worker(processes=3, constants=VISIBILITY)
    began_s, before = time.monotonic(), 0
    supervisor_s = began_s + 3
    while time.monotonic() < began_s + 150 and stage.evidence.ended() != wanted:
        time.sleep(random.uniform(0.1, 0.2))
        if supervisor_s and time.monotonic() > supervisor_s:
            supervisor_s = 0
            kills += worker.kill()
            worker.start()
        elif len(stage.evidence.ended()) > before:
            before = len(stage.evidence.ended())
            kills += worker.kill_a_child()
    over = "what was killed last is recognised: nothing is left"
    until(lambda: not producer.bridge.store.chains.newest(10), PATIENCE_S, over)
    return stage.evidence.tally(wanted, time.monotonic() - began_s, kills=kills, disorder=disorder(stage, wanted))


def disorder(stage: Stage, numbers: set[int]) -> list[int]:
    """Those that were begun before the one before had ended, or again when the one behind had begun."""
    evidence = stage.evidence.look()
    begun = [n for n in numbers if n + 1 in numbers and n + 1 in evidence.starts]
    late_s = {n: max(min(evidence.ends.get(n, [math.inf])), *evidence.starts[n]) for n in begun}
    return [n for n in begun if late_s[n] > min(evidence.starts[n + 1])]


def test_a_chain_goes_on_whoever_is_killed(played: Played, engine: str, figures: Callable[[Tally], None]):
    """Every link runs, each after the one before; none twice but for a kill, none when a later one has begun."""
    tally = played["killed", engine].result()

    figures(tally)
    assert 0 == tally.lost, tally
    assert [] == tally.more["disorder"], tally
    assert tally.repeated <= tally.more["kills"], tally
    assert 3 <= tally.more["kills"], tally


@pytest.mark.soak
def test_a_chain_of_ten_thousand(stage: Stage, figures: Callable[[Tally], None]):
    """It is run to its end, in order, each link once, and nothing of it is left."""
    producer = stage.producer()
    receipt = chain_of(producer, 0, 10_000, 0).enqueue()
    record = producer.bridge.store.messages.look(receipt.id)
    began_s = time.monotonic()
    stage.worker()

    stage.until_done(range(10_000))

    tally = stage.evidence.tally(
        range(10_000), time.monotonic() - began_s, disorder=disorder(stage, set(range(10_000)))
    )
    figures(tally)
    assert (0, 0, []) == (tally.lost, tally.repeated, tally.more["disorder"]), tally
    assert None is producer.bridge.store.chains.look(receipt.chain)
    assert record
    assert len(record.body) < 500
