"""Tasks without a ledger under the engines' own commands, and which of their messages are recorded from the start."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from taskbridge import chunked, current, ids
from taskbridge.errors import ConfigError, StoreUnavailable
from taskbridge.message import Flow, Message, Shadow
from taskbridge.outcome import Again, Done
from taskbridge.store import Begin
from taskbridge.store.memory.claims import MemoryClaims
from taskbridge.store.memory.control import MemoryControl
from taskbridge.testing import a_message
from taskbridge.testing.fakes import NOON_MS
from taskbridge.unrecorded import is_unrecorded

from .deliveries import AT_ONCE, Stage


def light(stage: Stage, fails: int = 0) -> None:
    """Declare a task without a ledger that fails so often."""

    @stage.bridge.task(name="tests.send", retry=AT_ONCE, ledger=False)
    def send() -> str:
        if current().attempt <= fails:
            raise OSError("no route")
        return "sent"


def state(stage: Stage, message: Message) -> str:
    record = stage.bridge.store.messages.look(message.id)
    return record.state if record else ""


def test_a_success_asks_nothing_of_claims(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """What it gave is the engine's, as ever; listeners hear of it."""
    light(stage)
    monkeypatch.setattr(MemoryClaims, "begin", None)
    monkeypatch.setattr(MemoryClaims, "finish", None)
    message = a_message()

    assert Done("sent") == stage.run(message)

    assert ["Started", "Succeeded"] == stage.told()
    assert "" == state(stage, message)


def test_a_failure_is_recorded_and_goes_on_from_its_record(stage: Stage):
    """Each attempt is counted and told, as of any other task."""
    light(stage, fails=1)
    message = a_message()

    assert isinstance(stage.run(message), Again)
    assert "READY" == state(stage, message)
    (due,) = stage.bridge.store.outbox.take(9)
    assert Done("sent") == stage.run(message.copy(seq=due.seq, attempt=due.attempt, released_at_ms=NOON_MS))

    assert ["Started", "Retried", "Started", "Succeeded"] == stage.told()
    assert "DONE" == state(stage, message)


def test_a_failure_is_told_until_the_store_knows_it(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """The engine's message is not acknowledged before: the delivery does not return."""
    light(stage, fails=1)
    begin, away = MemoryClaims.begin, [StoreUnavailable("away")] * 3

    def asked(claims: MemoryClaims, request: Begin) -> object:
        if away:
            raise away.pop()
        return begin(claims, request)

    monkeypatch.setattr(MemoryClaims, "begin", asked)
    message = a_message()

    stage.run(message)

    assert ([], "READY") == (away, state(stage, message))


def test_pauses_are_heard_within_a_second(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """The store is asked once a second at most, and what is paused waits there."""
    light(stage)
    asked, halts = list[float](), MemoryControl.halts
    monkeypatch.setattr(MemoryControl, "halts", lambda one: (asked.append(stage.clock.monotonic_s()), halts(one))[1])
    before = [a_message() for _ in range(3)]
    for message in before:
        stage.run(message)
    stage.bridge.store.control.pause("queue", "mail", who="me", why="")
    stage.clock.advance(1)
    held = a_message()
    stage.run(held)

    assert ([""] * 3, "PAUSED") == ([state(stage, one) for one in before], state(stage, held))
    assert 2 == len(asked)


def test_no_thread_goes_by_what_another_is_asking_for_now(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """Under Dramatiq many begin at once: each waits for the answer, or it would run though it was paused long ago."""
    light(stage)
    asked, answers, halts = Event(), Event(), MemoryControl.halts

    def slowly(control: MemoryControl) -> object:
        asked.set()
        answers.wait(20)
        return halts(control)

    stage.bridge.store.control.pause("task", "tests.send", who="me", why="")
    monkeypatch.setattr(MemoryControl, "halts", slowly)
    messages = [a_message(), a_message()]
    threads = [Thread(target=stage.run, args=(message, message.id)) for message in messages]
    threads[0].start()
    assert asked.wait(20)
    threads[1].start()
    threads[1].join(0.2)
    answers.set()
    for thread in threads:
        thread.join(20)

    assert ["PAUSED"] * 2 == [state(stage, one) for one in messages]


def test_a_store_that_does_not_answer_is_asked_once_a_second(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """From when it was given up on: what takes five seconds each time would let one task run in that time."""
    light(stage)
    asked: list[float] = []

    def silent(_: MemoryControl) -> object:
        asked.append(stage.clock.monotonic_s())
        stage.clock.advance(5)
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(MemoryControl, "halts", silent)
    for _ in range(3):
        stage.run(a_message())
    stage.clock.advance(1)
    stage.run(a_message())

    assert 2 == len(asked)


@pytest.mark.parametrize(
    "words",
    [
        {"released_at_ms": 1},
        {"flow": Flow(chain="c")},
        {"shadow": Shadow(rule="s")},
        {"hard_timeout_ms": 1},
        {"engine": "celery", "due_at_ms": NOON_MS + 1},
        {"task": "tests.other"},
        {"task": "tests.unknown"},
    ],
    ids=lambda words: next(iter(words)),
)
def test_what_the_store_has_or_must_keep_is_recorded(stage: Stage, words: dict[str, object]):
    """What came from it, is part of something, is compared, may be ended, waits, or is of another task."""
    light(stage)
    stage.bridge.task(name="tests.other")(lambda: None)

    assert is_unrecorded(a_message(), stage.bridge.runtime)
    assert not is_unrecorded(a_message(**words), stage.bridge.runtime)


def test_a_chunked_task_has_a_ledger(stage: Stage):
    """Its run goes on from there."""
    with pytest.raises(ConfigError, match="ledger=False is for a task of one body"):
        stage.bridge.task(name="tests.chunks", ledger=False)(chunked(over=ids(0, 9), size=3)(lambda chunk: None))
