"""Groups of one worker: each has processes and queues of its own, and none waits for another's."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from itertools import count, islice

import pytest

from taskbridge.operations.depths import depths

from ..servers import fastest, until
from .harness import LAPSED, PATIENCE_S, TASKS, Producer, Stage, send

pytestmark = pytest.mark.service("redis")

#: The first slot is high's, the others are low's.
GROUPS = ["high=1:urgent", "low=2:faults"]


def urge(producer: Producer, *numbers: int) -> None:
    """Send to the queue of high: a task that is a coroutine."""
    urgent = producer.bridge.external(f"{TASKS}.urgent", queue="urgent")
    for n in numbers:
        urgent.enqueue(n)


def slots(producer: Producer) -> dict[str, set[str]]:
    """The slots that run something now, by queue."""
    found = defaultdict(set)
    for record in producer.bridge.store.messages.running():
        found[record.queue].add(record.claim.split(":")[0].split(".")[-2])
    return found


def test_what_is_slow_in_one_group_does_not_delay_another(stage: Stage):
    """High's come to their end while nearly all of low's 200 wait; each queue is run by its own group only."""
    producer, worker = stage.producer(), stage.worker(processes=3, groups=GROUPS)
    producer.send_all("plain", range(200), 0.2)
    until(lambda: len(stage.evidence.look().starts) >= 2, PATIENCE_S, "low works")
    high = range(1_000, 1_020)
    urge(producer, *high)
    seen: dict[str, set[str]] = defaultdict(set)

    def served() -> dict[str, set[str]]:
        for queue, those in slots(producer).items():
            seen[queue] |= those
        return seen

    until(lambda: served() and {*high} <= stage.evidence.ended(), PATIENCE_S, "high's have ended")
    ends = dict(stage.evidence.look().ends)
    last_s = max(ends[n][0] for n in high)
    producer.bridge.external(f"{TASKS}.held", queue="urgent").enqueue(2_000)  # the others are seen by chance
    by_its_own = {"urgent": {"0"}, "faults": {"1", "2"}}
    until(lambda: {*by_its_own} <= {*served()} and len(seen["faults"]) > 1, PATIENCE_S, "all slots have run some")

    assert 100 > len([n for n in range(200) if n in ends and ends[n][0] < last_s])
    assert by_its_own == seen
    stage.evidence.let_go(2_000)
    assert 0 == worker.stop()


def processes(producer: Producer) -> dict[str, int]:
    """How many processes serve each queue, as ``taskbridge queues`` tells it."""
    return {
        one.queue: one.backends[producer.bridge.settings.backend].processes for one in depths(producer.bridge).queues
    }


def test_each_group_has_a_bell_of_its_own(stage: Stage):
    """What comes to one wakes one of its children: five rounds take less than waiting for each child's own look."""
    producer = stage.producer()
    stage.worker(processes=3, groups=GROUPS)
    clients = stage.server.cli().client_list
    until(lambda: len(clients(_type="pubsub")) == 2, PATIENCE_S, "both groups' queues are watched")
    numbers = count()

    def five_rounds_s() -> float:
        began_s = time.monotonic()
        for n in islice(numbers, 5):
            urge(producer, 100 + n)
            producer.send("plain", [n])
            until(lambda n=n: {n, 100 + n} <= stage.evidence.ended(), PATIENCE_S, "both have run")
        return time.monotonic() - began_s

    assert 2.5 > fastest(2.5, five_rounds_s)


def test_a_child_that_dies_is_replaced_in_its_group(stage: Stage):
    """What it ran runs again at once, and its queues are served by as many as before; one of two groups by both."""
    producer, worker = stage.producer(), stage.worker(processes=3, groups=["high=1:urgent", "low=2:faults,urgent"])
    until(lambda: processes(producer) == {"urgent": 3, "faults": 2}, PATIENCE_S, "they are announced")
    producer.send("held", range(2))
    urge(producer, 50)
    until(lambda: {0, 1} <= stage.evidence.look().starts.keys(), PATIENCE_S, "both of low's are busy")
    until(lambda: 50 in stage.evidence.ended(), PATIENCE_S, "high's is done")
    until(lambda: len(producer.bridge.store.messages.running()) == 2, PATIENCE_S, "and the store knows it")

    send(worker.children(), signal.SIGKILL)

    until(lambda: slots(producer).get("faults") == {"1", "2"}, PATIENCE_S, "they run again in low")
    urge(producer, 51)
    until(lambda: 51 in stage.evidence.ended(), PATIENCE_S, "high serves")
    until(lambda: processes(producer) == {"urgent": 3, "faults": 2}, PATIENCE_S, "as many as before")
    stage.evidence.let_go(0, 1)
    stage.until_done(producer.sent, producer.sent)
    assert LAPSED not in worker.read(), "what it ran runs again at once"
    tally = stage.evidence.tally(producer.sent, 0, producer.sent)
    assert (0, 0, 2) == (tally.lost, tally.doubled, tally.repeated), tally


def test_a_child_is_deaf_to_its_own_queues_only(stage: Stage):
    """A child that does nothing is left alone while others' queues have work, and replaced when its own has."""
    constants = {"taskbridge.worker.supervisor.DEAF_S": 1.5}
    producer, worker = stage.producer(), stage.worker(processes=3, groups=GROUPS, constants=constants)
    producer.send_all("plain", range(200), 0.05)
    high = worker.children()[0]
    send([high], signal.SIGSTOP)
    longer = "low has worked for longer than a deaf child is left alone"
    until(lambda: len(stage.evidence.ended()) > 80, PATIENCE_S, longer)
    assert high in worker.children()

    urge(producer, 1_000)

    until(lambda: 1_000 in stage.evidence.ended(), PATIENCE_S, "another serves high")
    assert f"child {high} has work waiting and takes none: replaced" in worker.read()
