"""Tasks that take too long, as real processes on both engines: interrupted from inside, or ended from outside."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from taskbridge.store import Record

from ..servers import fastest, until
from .harness import ENGINES, PATIENCE_S, Producer, Stage, Worker

pytestmark = pytest.mark.service("redis")

#: What stays, by number: the first three can be interrupted, the last is in C code that holds the GIL.
KINDS = dict(enumerate(("sleep", "recv", "loop", "C")))


@dataclass
class Served:
    """A stage with a worker and a producer."""

    stage: Stage
    worker: Worker
    producer: Producer

    def enqueue(self, name: str, *args: object, **options: float) -> str:
        """Send one message of a task; returns its id."""
        return self.producer.task(name, **options).enqueue(*args).id

    def letters(self, ids: Iterable[str]) -> list[Record]:
        """Wait until these messages are dead, and return them."""

        def found() -> list[Record]:
            dead = {one.id: one for one in self.producer.bridge.store.dead.list(100)}
            return [dead[id] for id in ids] if dead.keys() >= {*ids} else []

        return until(found, PATIENCE_S, f"dead letters of {ids}")


@pytest.fixture(scope="module", params=ENGINES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One worker of an engine for the cases that leave it as it was."""
    with Stage(request.param, tmp_path_factory.mktemp("timeouts") / "stage") as stage:
        yield Served(stage, stage.worker(processes=5), stage.producer())


def test_what_takes_too_long_is_interrupted_or_ended(served: Served):
    """Soft 1 s, hard 2 s: three see SoftTimeout within 1.2 s, C code ends within 2.5; the neighbours go on."""
    stage, worker, producer, turns = served.stage, served.worker, served.producer, count()

    def late_s() -> float:
        """By how much the latest comes too late."""
        first = 1_000 + 100 * next(turns)
        kinds = {first + n: how for n, how in KINDS.items()}
        in_c, plain = max(kinds), range(first + 10, first + 60)
        before = set(worker.children())
        ids = [served.enqueue("stays", n, how) for n, how in kinds.items()]
        until(lambda: kinds.keys() <= stage.evidence.look().starts.keys(), PATIENCE_S, "all four run")
        producer.send_all("plain", plain)

        letters = served.letters(ids)

        evidence = stage.evidence.look()
        soft = {how: round(evidence.fails[n][0] - evidence.starts[n][0], 3) for n, how in kinds.items() if n != in_c}
        (over_ms,) = (letter.at_ms for letter in letters if "HardTimeout" in letter.why)
        hard = over_ms / 1_000 - evidence.starts[in_c][0]
        print(f"{stage.engine}: SoftTimeout after {soft} s, dead of the hard one after {hard:.3f} s")
        assert 0.95 <= min(soft.values()), soft
        assert 2 <= hard
        assert in_c not in evidence.fails, "C code that looks for no signals sees none"
        whys = sorted(letter.why for letter in letters)
        assert ["failed 1 times: HardTimeout: hard timeout after 2 s"] == whys[:1]
        assert ["failed 1 times: SoftTimeout: soft timeout after 1 s"] * 3 == whys[1:]
        stage.until_done(plain)
        assert set(plain) <= stage.evidence.ended()
        assert not kinds.keys() & stage.evidence.ended()
        until(lambda: len(worker.children()) == 5, PATIENCE_S, "the one is replaced")
        assert 4 == len(before & set(worker.children())), "only the one that held the GIL was ended"
        return max(max(soft.values()) - 1.2, hard - 2.5)

    assert fastest(0, late_s) <= 0


def test_a_hard_timeout_is_a_failed_attempt(served: Served):
    """It spends attempts, not crashes, as the task's policy says; then it is dead. The stacks are in the log."""
    (letter,) = served.letters([served.enqueue("stuck", 10)])

    assert "failed 3 times: HardTimeout: hard timeout after 0.5 s" == letter.why
    assert (3, 3, 0) == (letter.attempt, letter.starts, letter.crashes)
    assert letter.why in letter.traceback
    last = f"({letter.id}, attempt 3) is dead: failed 3 times"
    until(lambda: last in served.worker.read(), PATIENCE_S, "what the store has is told")
    log = served.worker.read()
    assert 3 <= log.count("in hold_the_gil"), "the stacks of each that was ended"
    assert 2 == log.count(f"({letter.id}, attempt 1) failed and runs again") + log.count(
        f"({letter.id}, attempt 2) failed and runs again"
    )


def test_a_hard_timeout_covers_what_stands_around_the_task(served: Served):
    """A middleware that hangs is ended like a task that does."""
    (letter,) = served.letters([served.enqueue("surrounded", 11)])

    assert "HardTimeout: hard timeout after 0.5 s" in letter.why
    assert 11 not in served.stage.evidence.look().starts


def test_a_call_has_its_own_timeouts(served: Served):
    """Shorter than the task's, longer, or on a task that has none."""
    stage, producer = served.stage, served.producer
    soft, hard = (served.enqueue("patient", 20, 30, timeout=0.2), served.enqueue("patient", 21, 30, hard_timeout=0.3))
    stays = served.enqueue("stays", 22, "sleep", timeout=0.2)
    producer.send("patient", [23], 0.3)

    *letters, shorter = served.letters([soft, hard, stays])

    assert {
        "failed 2 times: SoftTimeout: soft timeout after 0.2 s",
        "failed 2 times: HardTimeout: hard timeout after 0.3 s",
    } == {letter.why for letter in letters}
    assert "failed 1 times: SoftTimeout: soft timeout after 0.2 s" == shorter.why
    stage.until_done([23])
    assert 23 in stage.evidence.ended()


def test_a_coroutine_sees_its_soft_timeout(served: Served):
    """Where it waits."""
    numbers = count(30)

    def seen_after_s() -> float:
        n = next(numbers)
        (letter,) = served.letters([served.enqueue("stays_waiting", n)])
        evidence = served.stage.evidence.look()
        assert "await asyncio.sleep(60)" in letter.traceback
        assert 0.95 <= evidence.fails[n][0] - evidence.starts[n][0]
        return evidence.fails[n][0] - evidence.starts[n][0]

    assert fastest(1.2, seen_after_s) <= 1.2


def test_the_settings_have_timeouts_for_tasks_without(stage: Stage):
    """From the environment of the worker; a drain waits for neither longer than they say."""
    producer = stage.producer()
    settings = {"TASKBRIDGE_TIMEOUT": "0.3", "TASKBRIDGE_HARD_TIMEOUT": "1"}
    numbers = count()

    def drained_s() -> float:
        worker = stage.worker(environment=settings, options=["--grace", "20"])
        waits, unmoved = next(numbers), next(numbers)
        producer.send("patient", [waits], 30)
        sent = producer.task("unmoved").enqueue(unmoved)
        until(lambda: {waits, unmoved} <= stage.evidence.look().starts.keys(), PATIENCE_S, "both run")
        began_s = time.monotonic()

        assert 0 == worker.stop()

        took_s = time.monotonic() - began_s
        told = producer.bridge.store.messages.look(sent.id)
        assert told
        assert "failed 1 times: HardTimeout: hard timeout after 1 s" == told.why
        assert "runs again in 0.0 s: SoftTimeout: soft timeout after 0.3 s" in worker.read()
        return took_s

    assert fastest(5, drained_s) < 5
