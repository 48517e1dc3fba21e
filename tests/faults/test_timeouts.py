"""Tasks that take too long, as real processes on both engines: interrupted from inside, or ended from outside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from taskbridge.store import Record

from ..servers import until
from .harness import ENGINES, Producer, Stage, Worker

pytestmark = pytest.mark.service("redis")

#: What stays, by number: the first three can be interrupted, the last is in C code that holds the GIL.
KINDS = dict(enumerate(("sleep", "recv", "loop", "C")))


@dataclass
class Served:
    """A stage with a worker and a producer."""

    stage: Stage
    worker: Worker
    producer: Producer

    def letters(self, task: str, count: int) -> list[Record]:
        """Wait until so many messages of a task are dead, and return them."""

        def found() -> list[Record]:
            dead = self.producer.bridge.store.dead.list(100)
            of_task = [one for one in dead if f'"tests.faults.tasks.{task}"'.encode() in one.body]
            return of_task if len(of_task) >= count else []

        return until(found, 15, f"{count} dead letters of {task}")


@pytest.fixture(scope="module", params=ENGINES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One worker of an engine for the cases that leave it as it was."""
    with Stage(request.param, tmp_path_factory.mktemp("timeouts") / "stage") as stage:
        yield Served(stage, stage.worker(processes=5), stage.producer())


def test_what_takes_too_long_is_interrupted_or_ended(served: Served):
    """Soft 1 s, hard 2 s: three see SoftTimeout within 1.2 s, C code ends within 2.5; the neighbours go on."""
    stage, worker, producer = served.stage, served.worker, served.producer
    before = set(worker.children())
    for n, how in KINDS.items():
        producer.send("stays", [n], how)
    until(lambda: len(stage.evidence.look().starts) == 4, 10, "all four run")
    producer.send_all("plain", range(100, 150))

    letters = served.letters("stays", 4)

    evidence = stage.evidence.look()
    soft = {how: round(evidence.fails[n][0] - evidence.starts[n][0], 3) for n, how in KINDS.items() if how != "C"}
    (over_ms,) = (letter.at_ms for letter in letters if "HardTimeout" in letter.why)
    hard = over_ms / 1_000 - evidence.starts[3][0]
    print(f"{stage.engine}: SoftTimeout after {soft} s, dead of the hard one after {hard:.3f} s")
    assert all(0.95 <= after <= 1.2 for after in soft.values()), soft
    assert 2 <= hard <= 2.5
    assert 3 not in evidence.fails, "C code that looks for no signals sees none"
    whys = sorted(letter.why for letter in letters)
    assert ["failed 1 times: HardTimeout: hard timeout after 2 s"] == whys[:1]
    assert ["failed 1 times: SoftTimeout: soft timeout after 1 s"] * 3 == whys[1:]
    stage.until_done(range(100, 150), 10)
    assert set(range(100, 150)) == stage.evidence.ended()
    until(lambda: len(worker.children()) == 5, 10, "the one is replaced")
    assert 4 == len(before & set(worker.children())), "only the one that held the GIL was ended"


def test_a_hard_timeout_is_a_failed_attempt(served: Served):
    """It spends attempts, not crashes, as the task's policy says; then it is dead. The stacks are in the log."""
    served.producer.send("stuck", [10])

    (letter,) = served.letters("stuck", 1)

    assert "failed 3 times: HardTimeout: hard timeout after 0.5 s" == letter.why
    assert (3, 3, 0) == (letter.attempt, letter.starts, letter.crashes)
    assert letter.why in letter.traceback
    log = served.worker.read()
    assert 3 <= log.count("in hold_the_gil"), "the stacks of each that was ended"
    assert 2 == log.count(f"({letter.id}, attempt 1) failed and runs again") + log.count(
        f"({letter.id}, attempt 2) failed and runs again"
    )
    assert f"({letter.id}, attempt 3) is dead: failed 3 times" in log


def test_a_hard_timeout_covers_what_stands_around_the_task(served: Served):
    """A middleware that hangs is ended like a task that does."""
    served.producer.send("surrounded", [11])

    (letter,) = served.letters("surrounded", 1)

    assert "HardTimeout: hard timeout after 0.5 s" in letter.why
    assert 11 not in served.stage.evidence.look().starts


def test_a_call_has_its_own_timeouts(served: Served):
    """Shorter than the task's, longer, or on a task that has none."""
    stage, producer = served.stage, served.producer
    producer.send("patient", [20], 30, timeout=0.2)
    producer.send("patient", [21], 30, hard_timeout=0.3)
    producer.send("stays", [22], "sleep", timeout=0.2)
    producer.send("patient", [23], 0.3)

    letters = served.letters("patient", 2)
    shorter = next(one for one in served.letters("stays", 1) if "0.2 s" in one.why)

    assert {
        "failed 2 times: SoftTimeout: soft timeout after 0.2 s",
        "failed 2 times: HardTimeout: hard timeout after 0.3 s",
    } == {letter.why for letter in letters}
    assert "failed 1 times: SoftTimeout: soft timeout after 0.2 s" == shorter.why
    stage.until_done([23], 10)
    assert 23 in stage.evidence.ended()


def test_a_coroutine_sees_its_soft_timeout(served: Served):
    """Where it waits."""
    served.producer.send("stays_waiting", [30])

    (letter,) = served.letters("stays_waiting", 1)

    evidence = served.stage.evidence.look()
    assert 0.95 <= evidence.fails[30][0] - evidence.starts[30][0] <= 1.2
    assert "await asyncio.sleep(60)" in letter.traceback


def test_the_settings_have_timeouts_for_tasks_without(stage: Stage):
    """From the environment of the worker; a drain waits for neither longer than they say."""
    producer = stage.producer()
    settings = {"TASKBRIDGE_TIMEOUT": "0.3", "TASKBRIDGE_HARD_TIMEOUT": "1"}
    worker = stage.worker(environment=settings, options=["--grace", "20"])
    producer.send("patient", [0], 30)
    producer.send("unmoved", [1])
    until(lambda: {0, 1} <= stage.evidence.look().starts.keys(), 10, "both run")
    began_s = time.monotonic()

    assert 0 == worker.stop(seconds=10)

    assert time.monotonic() - began_s < 5
    told = [producer.bridge.store.messages.look(letter.id) for letter in producer.bridge.store.dead.list(9)]
    assert "failed 1 times: HardTimeout: hard timeout after 1 s" in {one.why for one in told if one}
    assert "runs again in 0.0 s: SoftTimeout: soft timeout after 0.3 s" in worker.read()
