"""An attempt under its timeouts: what it sees, what becomes of it, and what is said beforehand."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from taskbridge import Backoff, Bridge, HardTimeout, Settings, SoftTimeout, current
from taskbridge.attempt import attempt
from taskbridge.backend import Delivery
from taskbridge.claimed import Claimed
from taskbridge.execution import ask
from taskbridge.options import Timeouts
from taskbridge.outcome import Again, Done, Ended, Outcome
from taskbridge.policies.timeout import Overdue
from taskbridge.runtime import Runtime
from taskbridge.testing import a_message

from .deliveries import AT_ONCE, Stage


@dataclass
class Watch:
    """Writes down what it is told."""

    told: list[Any] = field(default_factory=list)

    def limit(self, deadline_s: float, overdue: Overdue) -> None:
        self.told.append((deadline_s, overdue))

    def unlimit(self) -> None:
        self.told.append("over")


def run(stage: Stage, watch: Watch | None = None, runtime: Runtime | None = None, **message: Any) -> Outcome:
    """One attempt at ``tests.send``."""
    sent, runtime = a_message(**message), runtime or stage.bridge.runtime
    delivery = Delivery(tag="1", queue="mail", raw=b"", message=sent)
    begun = stage.bridge.store.claims.begin(ask(delivery, sent, "c", runtime))
    claimed = Claimed(delivery=delivery, message=sent, claim="c", backend="memory", begun=begun, watch=watch)
    return attempt(claimed, runtime)


def test_a_soft_timeout_is_a_failed_attempt(stage: Stage):
    """The task meets it, its policy judges it, and the last one is a dead letter with its traceback."""

    @stage.bridge.task(name="tests.send", timeout=0.02, retry=Backoff(max_retries=1, base=0))
    def send() -> None:
        time.sleep(30)

    again = stage.run(message := a_message())
    copy = stage.copy(message)
    stage.bridge.store.outbox.mark([(copy.id, copy.seq)])
    stage.run(copy)

    assert isinstance(again, Again)
    assert again.counted
    (letter,) = stage.bridge.store.dead.list(9)
    assert "failed 2 times: SoftTimeout: soft timeout after 0.02 s" == letter.why
    assert "time.sleep(30)" in letter.traceback


def test_a_policy_may_give_up_on_timeouts(stage: Stage):
    """By their names, as on any failure."""
    never_again = Backoff(give_up_on=(SoftTimeout, HardTimeout))
    stage.bridge.task(name="tests.send", timeout=0.02, hard_timeout=9, retry=never_again)(lambda: time.sleep(30))

    outcome = run(stage, watch := Watch())

    assert isinstance(outcome, Ended)
    ((_, overdue), _) = watch.told
    assert "HardTimeout is not retried: HardTimeout: hard timeout after 9 s" == overdue.why


@pytest.mark.parametrize(
    ("retry", "attempt", "expected"),
    [
        (AT_ONCE, 1, ("READY", True, 0, "HardTimeout: hard timeout after 2.5 s")),
        (AT_ONCE, 3, ("DEAD", False, 0, "failed 3 times: HardTimeout: hard timeout after 2.5 s")),
        (None, 1, ("DEAD", False, 0, "failed 1 times: HardTimeout: hard timeout after 2.5 s")),
        (Backoff(base=0, max_age=2), 1, ("DEAD", False, 0, "older than max_age after attempt 1: HardTimeout: ")),
    ],
)
def test_what_a_hard_timeout_leads_to_is_said_before(
    stage: Stage, retry: Any, attempt: int, expected: tuple[str, bool, int, str]
):
    """By the task's own policy, with the age it will have then; it stands while the task runs, and no longer."""
    watch, during = Watch(), []
    stage.bridge.task(name="tests.send", hard_timeout=2.5, retry=retry)(lambda: during.append(len(watch.told)))
    stage.clock.advance(10)

    outcome = run(stage, watch, attempt=attempt, enqueued_at_ms=stage.clock.now_ms())

    assert isinstance(outcome, Done)
    (deadline_s, overdue), over = watch.told
    state, counted, due_ms, why = expected
    assert (12.5, [1], "over") == (deadline_s, during, over)
    assert ("tests.send", "mail", attempt, state, counted, due_ms) == msgspec.structs.astuple(overdue)[:-1]
    assert overdue.why.startswith(why)


@dataclass(frozen=True)
class Counting:
    """A policy of a user's: it says something else each time."""

    asked: list[int] = field(default_factory=list)

    def judge(self, error: BaseException, *, attempt: int, age_ms: int) -> Again:
        self.asked.append(attempt)
        return Again(after_ms=len(self.asked), counted=True, why="again")


@pytest.mark.parametrize(
    ("retry", "waits"),
    [(Counting(), [1, 2, 3]), (Backoff(base=0), [0, 0, 0]), (Backoff(base=0, max_age=99), [0, 0, 0])],
    ids=["own", "backoff", "age"],
)
def test_a_policy_is_asked_each_time_unless_it_says_the_same(stage: Stage, retry: Any, waits: list[int]):
    """Of a message alike in task, queue, attempt and timeout a ``Backoff`` without ``max_age`` says nothing new."""
    stage.bridge.task(name="tests.send", hard_timeout=2, retry=retry)(lambda: None)
    watch = Watch()

    for _ in range(3):
        run(stage, watch)
    run(stage, watch, attempt=2)
    run(stage, watch, hard_timeout_ms=7_000)

    first, second, third, later, longer = (overdue for _, overdue in watch.told[::2])
    assert waits == [one.due_ms for one in (first, second, third)]
    assert (isinstance(retry, Backoff) and retry.max_age is None) == (first is second is third)
    assert (1, 2, True) == (first.attempt, later.attempt, longer.why.endswith(("after 7 s", "again")))


def test_tasks_of_the_same_name_have_each_its_own_policy(stage: Stage):
    """In another bridge of this process."""
    watch = Watch()
    for retry in (AT_ONCE, None):
        other = Bridge(Settings(backend="memory"))
        other.clock = stage.clock  # type: ignore[assignment]
        other.task(name="tests.send", hard_timeout=2, retry=retry)(lambda: None)
        run(Stage(other, stage.clock), watch)
        other.close()

    assert ["READY", "DEAD"] == [overdue.state for _, overdue in watch.told[::2]]


def test_what_is_drawn_by_chance_is_drawn_in_each_process():
    """So the one wait that a child draws for all its hard timeouts is its own."""
    said = []
    for _ in range(3):
        ours, theirs = os.pipe()
        if not (child := os.fork()):
            wait_ms = Backoff(base=10**6, cap=10**6).judge(OSError(), attempt=1, age_ms=0)
            os.write(theirs, str(wait_ms).encode())
            os._exit(0)
        os.waitpid(child, 0)
        said.append(os.read(ours, 999))
        os.close(ours)
        os.close(theirs)

    assert 3 == len(set(said))


def test_a_task_that_fails_is_no_longer_watched(stage: Stage):
    """However it leaves."""
    stage.bridge.task(name="tests.send", hard_timeout=2)(lambda: 1 / 0)

    run(stage, watch := Watch())

    assert "over" == watch.told[-1]


def test_a_task_knows_its_deadline(stage: Stage):
    """The soft one, else the hard one, of its message, itself or the settings."""
    seen: list[Any] = []
    stage.bridge.task(name="tests.send", hard_timeout=8)(lambda: seen.append(current().remaining))
    default = msgspec.structs.replace(stage.bridge.runtime, timeouts=Timeouts(soft_ms=3_000))

    run(stage, Watch())
    run(stage, Watch(), timeout_ms=5_000)
    run(stage, Watch(), default)

    assert [8.0, 5.0, 3.0] == seen


@pytest.mark.parametrize("option", ["timeout", "hard_timeout"])
def test_what_nobody_here_would_keep_is_not_run(stage: Stage, option: str):
    """A message of its own timeouts meets a worker of threads: it is dead, says why, and can be replayed elsewhere."""
    ran: list[str] = []
    stage.bridge.task(name="tests.send")(lambda: ran.append("ran"))
    message = a_message(**{f"{option}_ms": 1_500})

    thread = threading.Thread(target=stage.run, args=(message,))
    thread.start()
    thread.join()

    (letter,) = stage.bridge.store.dead.list(9)
    assert [] == ran
    assert letter.why.startswith(f"NotSupported: this worker cannot keep the {option} of 1.5 s of tests.send: run it")


def test_a_test_may_let_tasks_take_their_time(stage: Stage):
    """Nothing is kept then, and ``current()`` tells the time all the same."""
    seen: list[Any] = []

    def slow() -> None:
        time.sleep(0.05)
        seen.append(current().deadline)

    stage.bridge.task(name="tests.send", timeout=0.01, hard_timeout=timedelta(seconds=9))(slow)

    outcome = run(stage, None, msgspec.structs.replace(stage.bridge.runtime, enforced=False))

    assert isinstance(outcome, Done)
    assert [True] == [deadline is not None for deadline in seen]
