"""The life of a delivery: what is not run again, what is refused, and a store that is away."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from taskbridge import Retry, current
from taskbridge.errors import StoreUnavailable
from taskbridge.events import ClaimRefused, Dropped, Event, Repeated
from taskbridge.message import encode
from taskbridge.outcome import Again, Done
from taskbridge.patience import patiently
from taskbridge.settling import MAX_TRACEBACK
from taskbridge.store import LEASE_MS, Begin
from taskbridge.testing import FakeClock, a_message
from taskbridge.testing.fakes import NOON_MS

from .deliveries import Stage, raising


def test_what_has_expired_is_never_run(stage: Stage):
    """It is told as dropped, and acknowledged."""
    raising(stage, AssertionError("run"))

    assert stage.run(a_message(expires_at_ms=NOON_MS - 1)) is None
    assert isinstance(stage.run(a_message(expires_at_ms=NOON_MS + 1)), Again)

    (dropped,) = [event for event in stage.heard if isinstance(event, Dropped)]
    assert "expired" == dropped.how


def test_a_copy_is_recognised(stage: Stage):
    """Of what is done, and of what has gone on since: acknowledged, told, not run."""
    raising(stage, Retry(after=0))
    stage.bridge.task(name="tests.done")(lambda: None)
    message, done = a_message(), a_message(task="tests.done")
    stage.run(message)
    stage.run(done)

    assert stage.run(message) is None
    assert stage.run(done, claim="another") is None

    verdicts = [event.verdict for event in stage.heard if isinstance(event, Repeated)]
    assert ["stale", "settled"] == verdicts


def test_a_message_that_kills_its_workers_is_dead(stage: Stage):
    """After as many as the task allows; it is not run again."""
    raising(stage, AssertionError("run"), max_crashes=1)
    copy = message = a_message()
    claims = stage.bridge.store.claims

    for claim in ("first", "second"):
        limit = stage.bridge.definitions["tests.send"].options.max_crashes
        claims.begin(Begin(message=copy, body=encode(copy), claim=claim, max_crashes=limit))
        claims.lose(message.id, claim)
        copy = copy if claim == "second" else stage.copy(message)

    assert "DEAD" == stage.look(message).state
    assert "its worker died or was away 2 times" in stage.look(message).why
    assert stage.run(copy) is None


def test_a_lost_claim_has_its_result_refused(stage: Stage):
    """Another has taken the message meanwhile: the result counts for nothing, and that is told."""
    message = a_message()

    @stage.bridge.task(name="tests.send")
    def send() -> None:
        store = stage.bridge.store
        store.claims.sweep(10)
        for _ in range(LEASE_MS // 1_000 + 1):
            stage.clock.advance(1)
            store.claims.sweep(10)

    stage.run(message)

    assert "READY" == stage.look(message).state
    assert isinstance(stage.heard[-1], ClaimRefused)
    assert (message.id, "refused") == (stage.heard[-1].id, stage.heard[-1].why)


def test_a_traceback_begins_with_the_task(stage: Stage):
    """What leads to every task is not in the letter; what a task calls is, and what its error was caused by."""

    def call() -> None:
        raise OSError("away")

    @stage.bridge.task(name="tests.send", retry=None)
    def send() -> None:
        try:
            call()
        except OSError as error:
            raise ValueError("no") from error

    stage.run(a_message())

    (letter,) = stage.bridge.store.dead.list(1)
    assert ["send", "call", "send"] == re.findall(r"^  File .*, in (\w+)$", letter.traceback, re.MULTILINE)


def test_a_traceback_is_cut_to_its_end(stage: Stage):
    """However long it is, the letter stays small and the error itself is in it."""

    @stage.bridge.task(name="tests.send", retry=None)
    def send() -> None:
        raise ValueError("x" * 100_000 + " the end")

    stage.run(a_message())

    (letter,) = stage.bridge.store.dead.list(1)
    assert MAX_TRACEBACK == len(letter.traceback)
    assert letter.traceback.endswith(" the end\n")


def test_a_listener_that_fails_harms_no_task(stage: Stage):
    """The message is done all the same."""
    stage.bridge.task(name="tests.send")(lambda: None)

    @stage.bridge.events.subscribe
    def broken(event: Event) -> None:
        raise RuntimeError

    message = a_message()
    assert Done() == stage.run(message)
    assert "DONE" == stage.look(message).state


def test_an_absent_store_is_asked_again(clock: FakeClock):
    """The same call, for as long as it takes, each wait twice as long up to two seconds; other errors go on."""
    asked: list[float] = []

    def call() -> str:
        asked.append(clock.monotonic_s())
        if len(asked) < 9:
            raise StoreUnavailable("away")
        return "here"

    assert "here" == patiently(call, clock)

    waits = [round(later - earlier, 3) for earlier, later in pairwise(asked)]
    assert [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0] == waits
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 // 0, clock)


def test_neither_begin_nor_finish_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """A store that is away when a message comes, and when it has run: it is run once, and told with its own claim."""
    runs: list[str] = []
    stage.bridge.task(name="tests.send")(lambda: runs.append(current().id))
    claims, told = stage.bridge.store.claims, []

    def flaky(verb: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
        def call(request: Any) -> Any:
            told.append((name, request.claim))
            answer = verb(request)
            if told.count((name, request.claim)) < 3:
                raise StoreUnavailable("the reply was lost")
            return answer

        return call

    for name in ("begin", "finish"):
        monkeypatch.setattr(claims, name, flaky(getattr(claims, name), name))
    message = a_message()

    assert Done() == stage.run(message, claim="mine")
    assert [("begin", "mine")] * 3 + [("finish", "mine")] * 3 == told
    assert [message.id] == runs
    assert "Succeeded" == stage.told()[-1]


def test_keyboard_interrupt_is_for_the_process(stage: Stage):
    """It is no failure of the task: the claim stands, and whoever keeps the worker settles it."""
    raising(stage, KeyboardInterrupt())
    message = a_message()

    with pytest.raises(KeyboardInterrupt):
        stage.run(message)

    assert "RUN" == stage.look(message).state
