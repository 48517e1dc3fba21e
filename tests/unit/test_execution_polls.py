"""The life of a delivery that asks to be run again: until when, and what a replay meets."""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from taskbridge import Backoff, Reschedule
from taskbridge.clock import Span
from taskbridge.events import Failed
from taskbridge.message import decode
from taskbridge.outcome import Again, Ended
from taskbridge.testing import a_message
from taskbridge.testing.fakes import NOON_MS

from .deliveries import Stage, raising


def polling(stage: Stage, give_up_after: Span | None, **options: Any) -> None:
    """A task that asks again each minute, and takes a second to do so."""

    def poll(asked: int = 0) -> None:
        stage.clock.advance(1)
        raise Reschedule(60, kwargs={"asked": asked + 1}, give_up_after=give_up_after)

    stage.bridge.task(name="tests.send", **options)(poll)


@pytest.mark.parametrize("span", [181, timedelta(seconds=181)])
@pytest.mark.parametrize("options", [{"retry": None}, {"retry": Backoff(max_retries=9)}])
def test_a_poll_ends_where_its_next_run_would_be_too_late(stage: Stage, span: Span, options: dict[str, Any]):
    """Counted from when it was first due, not from the last run; whatever ``retry`` says, it is no failure of it."""
    polling(stage, span, **options)
    copy = message = a_message(due_at_ms=NOON_MS + 5_000, enqueued_at_ms=NOON_MS)
    stage.clock.advance(5)

    for _ in range(2):
        assert isinstance(stage.run(copy), Again)
        stage.clock.advance(60)
        copy = stage.copy(message)
    outcome = stage.run(copy)

    assert isinstance(outcome, Ended)
    record = stage.look(message)
    assert ("DEAD", 1) == (record.state, record.attempt)
    assert "gave up after 0:03:01: still not ready, begun 3 times" == record.why
    assert isinstance(failed := stage.heard[-1], Failed)
    assert record.why == failed.why


@pytest.mark.parametrize(("give_up_after", "kind"), [(61, Again), (60.999, Ended), (None, Again)])
def test_the_last_run_may_be_at_the_very_time(stage: Stage, give_up_after: Span | None, kind: type):
    """To the millisecond; without a time it never ends."""
    polling(stage, give_up_after)

    assert isinstance(stage.run(a_message(enqueued_at_ms=NOON_MS)), kind)


def test_a_replay_goes_on_where_it_was_given_up(stage: Stage):
    """With the arguments that the next run would have had; its time is still over, so it asks once."""
    polling(stage, 30)
    message = a_message(enqueued_at_ms=NOON_MS, kwargs=msgspec.Raw(b'{"asked":7}'))

    stage.run(message)
    (letter,) = stage.bridge.store.dead.list(10)
    stage.bridge.store.dead.replay(message.id)
    copy = stage.copy(message)
    outcome = stage.run(copy)

    assert b'{"asked":8}' == bytes(decode(letter.body).kwargs) == bytes(copy.kwargs)
    assert isinstance(outcome, Ended)
    assert "gave up after 0:00:30: still not ready, begun 2 times" == outcome.why


@pytest.mark.parametrize("age", ["give up", "max_age"])
def test_a_native_message_without_a_date_is_first_due_when_it_first_ran(stage: Stage, age: str):
    """A plain Celery producer does not say when: no message of its own is too old from the start."""
    if age == "give up":
        polling(stage, 100)
    else:
        raising(stage, OSError("no"), retry=Backoff(max_retries=9, base=0, cap=0, max_age=100))
    copy = message = a_message(engine="celery")

    first = stage.run(copy)
    stage.clock.advance(101)
    copy = stage.copy(message)
    then = stage.run(copy)

    assert isinstance(first, Again)
    assert NOON_MS <= copy.enqueued_at_ms <= NOON_MS + 1_000
    assert isinstance(then, Ended)
    assert ("gave up after" if age == "give up" else "older than max_age") in then.why


@pytest.mark.parametrize("span", [0, -1, timedelta(0), timedelta(seconds=-5), "an hour", math.nan, math.inf])
def test_a_time_to_give_up_is_a_span_above_zero(stage: Stage, span: Any, caplog: pytest.LogCaptureFixture):
    """Else it is dead at once, and the letter says what was expected and where it was asked."""
    polling(stage, span)

    with caplog.at_level(logging.ERROR, "taskbridge"):
        outcome = stage.run(a_message(enqueued_at_ms=NOON_MS))

    assert isinstance(outcome, Ended)
    assert outcome.why.startswith("ConfigError: Reschedule(give_up_after): expected ")
    assert repr(span) in outcome.why
    (letter,) = stage.bridge.store.dead.list(10)
    assert "in poll" in letter.traceback


def test_a_message_does_not_grow_over_the_limit(stage: Stage):
    """Arguments that would make it so end it at once, with the advice; one that was sent stays as it was."""

    def poll(seen: str = "") -> None:
        raise Reschedule(60, kwargs={"seen": "x" * 70_000})

    stage.bridge.task(name="tests.send")(poll)
    message = a_message()

    outcome = stage.run(message)

    assert isinstance(outcome, Ended)
    record = stage.look(message)
    assert "DEAD" == record.state
    assert "PayloadTooLarge: tests.send: the message is 70" in record.why
    assert message.kwargs == decode(record.body).kwargs
