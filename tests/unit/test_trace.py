"""What travels with a message, and what stands around sending and running: an observer's, which costs no message."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from taskbridge import Backoff, Bridge
from taskbridge.outcome import Again, Done, Ended, Outcome
from taskbridge.testing import a_message
from taskbridge.trace import Entered, Trace

from .deliveries import Stage, raising


def test_headers_of_several_tracers_travel_together():
    """Each its own; of baggage, which several may have, all of it. Without a tracer there are none."""
    trace = Trace()
    assert b"{}" == bytes(trace.headers())

    trace.inject(lambda: {"traceparent": "00-1-2-01", "baggage": "a=1"})
    trace.inject(dict)
    trace.inject(lambda: {"sentry-trace": "1-2", "baggage": "b=2"})

    assert {"traceparent": "00-1-2-01", "sentry-trace": "1-2", "baggage": "a=1,b=2"} == json.loads(
        bytes(trace.headers())
    )


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_a_tracer_that_fails_costs_no_message(
    stage: Stage, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
):
    """Wherever it stands: what was to be sent is sent, what was to be run is run, and the log has the reason."""

    def broken(*_: object) -> Any:
        raise kind("broken")

    def half(*_: object) -> Callable[..., None]:
        return broken

    trace = stage.bridge.trace
    trace.inject(broken)
    for opener in (broken, half):
        trace.around_sending(opener)
        trace.around_attempt(opener)
    task = stage.bridge.task(name="tests.send")(lambda: 7)

    assert task.enqueue().created
    assert Done(7) == stage.run(a_message())
    assert 5 == caplog.text.count(f"{kind.__name__}: broken")


def test_an_attempt_stands_inside_of_what_observers_open(stage: Stage):
    """The first outermost; each is told what became of the attempt, also where the task was not even entered."""
    told: list[object] = []

    def opener(name: str) -> Callable[[Entered], Callable[[Outcome | None], None]]:
        def entered(one: Entered) -> Callable[[Outcome | None], None]:
            told.append((name, one.message.task, one.backend, one.attempt))
            return lambda outcome: told.append((name, type(outcome)))

        return entered

    for name in ("outer", "inner"):
        stage.bridge.trace.around_attempt(opener(name))
    raising(stage, ValueError("x"))

    stage.run(a_message())
    stage.run(a_message(args=msgspec.Raw(b'["no number"]')))

    begun = [("outer", "tests.send", "memory", 1), ("inner", "tests.send", "memory", 1)]
    assert [*begun, ("inner", Again), ("outer", Again), *begun, ("inner", Ended), ("outer", Ended)] == told


def test_a_process_that_ends_in_a_run_closes_what_was_opened(stage: Stage):
    """Without an outcome, for there is none."""
    told: list[Outcome | None] = []
    stage.bridge.trace.around_attempt(lambda _: told.append)

    @stage.bridge.task(name="tests.send", retry=Backoff())
    def send() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.run(a_message())

    assert [None] == told


def test_a_call_that_sends_stands_inside_too(bridge: Bridge):
    """Headers are made inside of it; it hears of the error that left the call."""
    told: list[object] = []

    def opened(task: str, queue: str) -> Callable[[BaseException | None], None]:
        told.append((task, queue))
        return told.append

    bridge.trace.around_sending(opened)
    bridge.trace.inject(lambda: told.append("headers") or {})
    task = bridge.task(name="tests.send", queue="mail")(lambda n: None)

    task.enqueue(1)
    task.using(queue="urgent").enqueue_many([(1,), (2,)])
    with pytest.raises(TypeError) as refused:
        task.enqueue(1, 2)

    begun = ("tests.send", "mail")
    many = [("tests.send", "urgent"), "headers", "headers", None]
    assert [begun, "headers", None, *many, begun, refused.value] == told
