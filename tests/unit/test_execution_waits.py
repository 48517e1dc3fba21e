"""What becomes of a delivery that must wait for a lock or a limit, and who is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from taskbridge import Backoff, Lock, RateLimit, Throttled
from taskbridge.backend import Delivery
from taskbridge.events import Dropped, Failed, Retried, Started, Waiting
from taskbridge.execution import ask
from taskbridge.message import Message
from taskbridge.outcome import Again, Done, Ended
from taskbridge.testing import a_message

from .deliveries import AT_ONCE, Stage

ARGS = msgspec.Raw(b"[7]")


def declared(stage: Stage, **options: Any) -> list[int]:
    """Declare the task; returns the list of the runs it will have."""
    ran: list[int] = []

    @stage.bridge.task(name="tests.send", **options)
    def send(user: int) -> None:
        ran.append(user)

    return ran


def held(stage: Stage, message: Message) -> None:
    """Let another message hold the lock, for good."""
    delivery = Delivery(tag="1", queue="mail", raw=b"")
    stage.bridge.store.claims.begin(ask(delivery, message, "holder", stage.bridge.runtime))


def test_a_held_lock_parks_it_and_listeners_are_told(stage: Stage):
    """It is not run; the event names the lock."""
    ran = declared(stage, lock=Lock("user:{user}"))
    held(stage, a_message(args=ARGS))

    message = a_message(args=ARGS)

    assert stage.run(message, "c1") is None
    assert [] == ran
    assert "LOCKED" == stage.look(message).state
    (event,) = stage.heard
    assert isinstance(event, Waiting)
    assert ("locked", "user:7") == (event.how, event.key)


def test_a_limit_parks_it_and_listeners_are_told(stage: Stage):
    """The second start in a minute waits."""
    ran = declared(stage, rate_limit=RateLimit("1/m"))

    assert Done(None) == stage.run(a_message(args=ARGS), "c1")
    assert stage.run(a_message(args=ARGS), "c2") is None

    assert [7] == ran
    assert [("throttled", "tests.send")] == [(one.how, one.key) for one in stage.heard if isinstance(one, Waiting)]


def test_listeners_are_told_how_long_it_was_parked(stage: Stage):
    """In the store, by the store's clock; what it lay in the queue afterwards is told apart."""
    ran = declared(stage, rate_limit=RateLimit("1/h"))
    message = a_message(args=ARGS)
    stage.run(a_message(args=ARGS), "c1")
    stage.run(message, "c2")
    stage.clock.advance(3_600)
    stage.bridge.store.waiting.let_out(9)
    copy = stage.copy(message).copy(released_at_ms=stage.clock.now_ms())
    stage.clock.advance(5)

    stage.run(copy, "c3")

    first, last = [event for event in stage.heard if isinstance(event, Started)]
    assert (0, "", 0) == (first.parked_ms, first.parked_for, first.throttled_ms)
    assert (3_600_000, "limit", 3_600_000, 5_000) == (
        *(last.parked_ms, last.parked_for, last.throttled_ms, last.waited_ms),
    )
    assert [7, 7] == ran


def test_what_no_key_can_be_made_of_costs_no_worker(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """It is dead, unrun, and says why; without its lock it must not run."""
    ran = declared(stage, lock=Lock("user:{user}"))

    def broken(*_: object) -> None:
        raise TypeError("no such key")

    monkeypatch.setattr("taskbridge.execution.needs_of", broken)
    outcome = stage.run(a_message(args=ARGS), "c1")

    assert [] == ran
    assert isinstance(outcome, Ended)
    assert "no key of a lock or a limit can be made of its arguments: TypeError: no such key" == outcome.why


def test_a_skipped_message_has_ended(stage: Stage):
    """As one that was dropped, and listeners hear why."""
    declared(stage, lock=Lock("user:{user}", "skip"))
    held(stage, a_message(args=ARGS))
    message = a_message(args=ARGS)

    assert stage.run(message, "c1") is None

    assert "DONE" == stage.look(message).state
    (event,) = stage.heard
    assert isinstance(event, Dropped)
    assert ("skipped", "the lock user:7 is held") == (event.how, event.why)


@pytest.mark.parametrize(("retry", "state", "kind"), [(AT_ONCE, "READY", Retried), (None, "DEAD", Failed)])
def test_a_refused_lock_may_be_a_failure(stage: Stage, retry: Backoff | None, state: str, kind: type):
    """``fail``: judged by the task's own policy, and the task is not entered."""
    ran = declared(stage, lock=Lock("user:{user}", "fail"), retry=retry)
    held(stage, a_message(args=ARGS))
    message = a_message(args=ARGS)

    outcome = stage.run(message, "c1")

    assert [] == ran
    assert isinstance(outcome, Again | Ended)
    assert "LockHeld: another holds the lock user:7" in outcome.why
    assert state == stage.look(message).state
    assert isinstance(stage.heard[-1], kind)


@pytest.mark.parametrize(
    ("limits", "named", "state", "key"),
    [
        (RateLimit("70/s", key="{user}"), "", "THROTTLED", "tests.send:7"),
        ([RateLimit("70/s"), RateLimit("9/s", name="provider")], "provider", "THROTTLED", "provider"),
        ((), "", "DELAYED", ""),
    ],
)
def test_throttled_shuts_its_limit(stage: Stage, limits: Any, named: str, state: str, key: str):
    """The first of the task's, or the one that is named; without one it is a wait. No attempt is spent."""

    @stage.bridge.task(name="tests.send", rate_limit=limits)
    def send(user: int) -> None:
        raise Throttled(30, limit=named)

    message = a_message(args=ARGS)
    outcome = stage.run(message, "c1")

    record = stage.look(message)
    assert isinstance(outcome, Again)
    assert (30_000, False, key) == (outcome.after_ms, outcome.counted, outcome.shuts)
    assert (state, 1, key) == (record.state, record.attempt, record.waits_at)


def test_throttled_by_a_limit_that_is_not_there_is_told(stage: Stage):
    """With those that are; the letter shows where it was asked for."""

    @stage.bridge.task(name="tests.send", rate_limit=RateLimit("70/s"))
    def send(user: int) -> None:
        raise Throttled(30, limit="provider")

    outcome = stage.run(a_message(args=ARGS), "c1")

    assert isinstance(outcome, Ended)
    assert "tests.send has no limit called 'provider'; it has tests.send" in outcome.why


def test_an_early_start_waits_in_its_worker(stage: Stage):
    """What a limit without burst let out a few milliseconds early is begun at its instant."""
    ran: list[float] = []
    stage.bridge.task(name="tests.send", rate_limit=RateLimit("100/s", burst=1))(
        lambda user: ran.append(stage.clock.monotonic_s())
    )
    stage.run(a_message(args=ARGS), "c1")
    late = a_message(args=ARGS)
    stage.run(late, "c2")
    stage.clock.advance(0.002)
    assert 1 == stage.bridge.store.waiting.let_out(10)

    stage.run(stage.copy(late), "c3")

    assert 0.010 == pytest.approx(ran[1] - ran[0])
