"""The life of a delivery: how an attempt ends, and who is told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from taskbridge import Current, Drop, Lock, Reschedule, Retry, current
from taskbridge.attempt import attempt
from taskbridge.backend import Delivery
from taskbridge.claimed import Claimed
from taskbridge.events import Dropped, Failed, ParkedForRelease, Retried, Started, Succeeded, Waiting
from taskbridge.execution import ask
from taskbridge.outcome import Again, Done, Ended, Parked
from taskbridge.testing import a_message
from taskbridge.testing.fakes import NOON_MS

from .deliveries import AT_ONCE, Stage, raising


def test_what_returns_is_done(stage: Stage):
    """Its arguments are of the annotated types, its own message is ``current()``, and time in queue is told."""
    ran: list[tuple[Any, Current]] = []

    @stage.bridge.task(name="tests.send")
    def send(numbers: tuple[int, ...], *, who: str = "me") -> str:
        ran.append(((numbers, who), current()))
        stage.clock.advance(2)
        return "sent"

    message = a_message(args=msgspec.Raw(b"[[1,2]]"), enqueued_at_ms=NOON_MS)
    stage.clock.advance(5)

    assert Done("sent") == stage.run(message)

    ((values, me),) = ran
    assert ((1, 2), "me") == values
    assert (message.id, "tests.send", "mail", 1, 1) == (me.id, me.task, me.queue, me.attempt, me.starts)
    assert (NOON_MS, NOON_MS) == (me.enqueued_at_ms, me.first_due_ms)
    assert "DONE" == stage.look(message).state
    names = {"id": message.id, "task": "tests.send", "queue": "mail", "backend": "memory"}
    assert [Started(**names, waited_ms=5_000), Succeeded(**names, ran_ms=2_000)] == stage.heard


def test_fencing_tokens_grow(stage: Stage):
    """With every run of any message, a retry of the same included."""
    tokens: list[int] = []

    @stage.bridge.task(name="tests.send", retry=AT_ONCE)
    def send() -> None:
        tokens.append(current().fencing_token)
        raise OSError

    first, second = a_message(), a_message()
    stage.run(first)
    stage.run(stage.copy(first))
    stage.run(second)

    assert tokens == sorted(set(tokens))
    assert 3 == len(tokens)


def test_a_failure_is_retried_until_it_is_dead(stage: Stage):
    """Each attempt is counted and told; the last one is among the dead letters, with its traceback and reason."""
    raising(stage, OSError("no route"))
    copy = message = a_message()

    for number in (1, 2):
        outcome = stage.run(copy)
        assert isinstance(outcome, Again)
        assert ("READY", number + 1) == (stage.look(message).state, stage.look(message).attempt)
        copy = stage.copy(message)
        stage.bridge.store.outbox.mark([(copy.id, copy.seq)])
    assert isinstance(stage.run(copy), Ended)

    (letter,) = stage.bridge.store.dead.list(10)
    assert "failed 3 times: OSError: no route" == letter.why
    assert "raise error" in letter.traceback
    assert "OSError: no route" in letter.traceback
    assert ["Started", "Retried"] * 2 + ["Started", "Failed"] == stage.told()
    assert [1, 1, 2, 2, 3, 3] == [event.attempt for event in stage.heard]
    assert isinstance(failed := stage.heard[-1], Failed)
    assert "OSError('no route')" == repr(failed.error)


def test_a_wait_before_a_retry_is_kept_by_the_store(stage: Stage):
    """No worker holds it; it is due when the policy says, and its time in queue counts from then."""
    raising(stage, Retry("busy", after=30))
    message = a_message(enqueued_at_ms=NOON_MS)

    stage.run(message)

    record = stage.look(message)
    assert ("DELAYED", NOON_MS + 30_000, "Retry: busy") == (record.state, record.at_ms, record.why)
    assert isinstance(stage.heard[-1], Retried)
    assert (30_000, True) == (stage.heard[-1].after_ms, stage.heard[-1].counted)


def test_a_task_without_retry_fails_once(stage: Stage):
    """``retry=None``: the first failure is the last."""
    raising(stage, OSError("x"), retry=None)

    outcome = stage.run(a_message())

    assert isinstance(outcome, Ended)
    assert "dead" == outcome.how


@pytest.mark.parametrize("error", [SystemExit(3), SystemExit("bye")])
def test_a_task_that_exits_has_failed(stage: Stage, error: BaseException):
    """Its worker goes on, and it is among the dead letters."""
    raising(stage, error)

    outcome = stage.run(a_message())

    assert isinstance(outcome, Ended)
    assert f"SystemExit is not retried: SystemExit: {error}" == outcome.why


def test_a_dropped_message_ends(stage: Stage):
    """Neither done nor dead, and told why; without a retry policy too."""
    raising(stage, Drop("sold out"), retry=None)
    message = a_message()

    assert Ended(how="dropped", why="sold out") == stage.run(message)
    assert "DONE" == stage.look(message).state
    assert [] == stage.bridge.store.dead.list(10)
    assert isinstance(dropped := stage.heard[-1], Dropped)
    assert ("dropped", "sold out") == (dropped.how, dropped.why)


def test_a_rescheduled_message_spends_no_attempt(stage: Stage):
    """However often; its arguments may change by name, those sent by position too, and the others stay as sent."""
    raising(stage, Reschedule(5, kwargs={"page": 2}))
    copy = message = a_message(args=msgspec.Raw(b"[1]"), kwargs=msgspec.Raw(b'{"size":20}'))

    for _ in range(7):
        stage.run(copy)
        stage.clock.advance(5)
        copy = stage.copy(message)

    assert 1 == stage.look(message).attempt
    assert (b"[2]", b'{"size":20}') == (bytes(copy.args), bytes(copy.kwargs))
    assert {("Retried", False)} == {(type(e).__name__, e.counted) for e in stage.heard if isinstance(e, Retried)}


def test_a_rescheduled_message_is_shared_by_what_it_has_become(stage: Stage):
    """A key that was made of an argument which changes is made anew; others stay."""
    raising(stage, Reschedule(0, kwargs={"page": 2}))
    keys = {"{page}": "1", "{size}": "20", "{page}/{size}": "1/20"}
    message = a_message(args=msgspec.Raw(b"[1]"), kwargs=msgspec.Raw(b'{"size":20}'), route_keys=keys)

    stage.run(message)

    assert {"{size}": "20"} == stage.copy(message).route_keys


class Broken:
    """A policy with a mistake in it."""

    def judge(self, error: BaseException, *, attempt: int, age_ms: int) -> Again:
        raise ZeroDivisionError("in the policy")


@pytest.mark.parametrize(
    ("error", "options", "why"),
    [
        (Reschedule(kwargs={"typo": 1}), {}, "ArgumentError: there is no argument 'typo'; expected tests.send(page"),
        (Reschedule(kwargs={"page": object()}), {}, "ArgumentError: tests.send: argument 'page'"),
        (Reschedule("soon"), {}, "ConfigError: Reschedule(after): expected seconds or a timedelta, got 'soon'"),  # type: ignore[arg-type]
        (Retry(after="soon"), {}, "ConfigError: Retry(after): expected seconds or a timedelta, got 'soon'"),  # type: ignore[arg-type]
        (OSError(), {"retry": Broken()}, "ZeroDivisionError: in the policy"),
    ],
)
def test_where_nothing_can_be_said_it_is_dead(
    stage: Stage, error: BaseException, options: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
):
    """A mistake in what a task asks for, or in its policy, costs no worker: the letter says what is wrong."""
    raising(stage, error, **options)

    with caplog.at_level(logging.ERROR, "taskbridge"):
        outcome = stage.run(a_message())

    assert isinstance(outcome, Ended)
    assert outcome.why.startswith(why)
    (letter,) = stage.bridge.store.dead.list(10)
    assert type(error).__name__ in letter.traceback
    assert "cannot be said" in caplog.text


def test_an_unknown_task_waits_for_a_newer_worker(stage: Stage):
    """For as long as messages wait by default; it was never entered, so it counts as not started."""
    message = a_message(task="bank.new")

    assert Parked(why="no task named 'bank.new' in this release") == stage.run(message)

    record = stage.look(message)
    assert ("PARKED", "bank.new", 0) == (record.state, record.group, record.starts)
    assert NOON_MS + 24 * 3_600_000 == record.at_ms
    assert [ParkedForRelease] == [type(event) for event in stage.heard]


@pytest.mark.parametrize(("policy", "state"), [("park", "PARKED"), ("drop", "DONE"), ("fail", "DEAD")])
def test_unknown_arguments_are_not_dropped_unasked(stage: Stage, policy: str, state: str):
    """Parked for a worker that has them, dead, or dropped where the task says so: only then it starts."""
    ran: list[dict[str, Any]] = []

    @stage.bridge.task(name="tests.send", unknown_args=policy, park_for=60)
    def send(amount: int) -> None:
        ran.append({"amount": amount})

    message = a_message(kwargs=msgspec.Raw(b'{"amount":5,"rate":2,"currency":"EUR"}'))
    stage.run(message)

    assert state == stage.look(message).state
    told = {"park": ["ParkedForRelease"], "drop": ["Started", "Succeeded"], "fail": ["Failed"]}
    assert ([{"amount": 5}] if policy == "drop" else []) == ran
    assert told[policy] == [name for name in stage.told() if name != "Received"]
    if policy == "park":
        record = stage.look(message)
        assert ("tests.send currency rate", NOON_MS + 60_000) == (record.group, record.at_ms)


#: More than this interpreter reads.
DEEP = b"[" * 10_000 + b"]" * 10_000


@pytest.mark.parametrize(
    "args", [b'["one"]', b"{}", b"[1", b"[[]]", DEEP], ids=["text", "object", "cut", "list", "deep"]
)
def test_arguments_that_cannot_be_read_are_dead(stage: Stage, args: bytes):
    """A retry would read them the same: at once, with what was in them."""

    @stage.bridge.task(name="tests.send", retry=AT_ONCE)
    def send(amount: int) -> None: ...

    outcome = stage.run(a_message(args=msgspec.Raw(args)))

    assert isinstance(outcome, Ended)
    assert ("dead", 1) == (outcome.how, len(stage.bridge.store.dead.list(10)))


def test_keyword_arguments_nested_too_deeply_are_dead(stage: Stage):
    """The names alone cannot be read: the worker lives, and the message is where it can be seen."""

    @stage.bridge.task(name="tests.send", retry=AT_ONCE)
    def send(amount: int) -> None: ...

    outcome = stage.run(a_message(kwargs=msgspec.Raw(b'{"amount":%b}' % DEEP)))

    assert isinstance(outcome, Ended)
    assert ("dead", 1) == (outcome.how, len(stage.bridge.store.dead.list(10)))


def test_a_native_delay_is_waited_for_by_the_store(stage: Stage):
    """A plain producer's message that is early is not run; it costs no attempt, and comes when it is due."""
    stage.bridge.task(name="tests.send")(lambda: None)
    message = a_message(engine="celery", due_at_ms=NOON_MS + 90_000)

    outcome = stage.run(message)

    assert Again(after_ms=90_000, counted=False, ran=False, why="not due yet") == outcome
    assert (NOON_MS + 90_000, 0, 1) == (
        stage.look(message).at_ms,
        stage.look(message).starts,
        stage.look(message).attempt,
    )
    stage.clock.advance(90)
    assert isinstance(stage.run(stage.copy(message)), Done)
    assert [Waiting, Started, Succeeded] == [type(event) for event in stage.heard]  # it has begun once
    assert "delayed" == stage.heard[0].how  # type: ignore[attr-defined]


def test_what_was_early_when_it_asked_for_its_lock_is_not_run(stage: Stage):
    """It has asked for none; that its time comes before it is run makes no difference."""
    ran: list[int] = []
    stage.bridge.task(name="tests.send", lock=Lock("all"))(lambda: ran.append(1))
    message = a_message(engine="celery", due_at_ms=NOON_MS + 2)
    store = stage.bridge.store
    delivery = Delivery(tag="1", queue=message.queue, raw=b"", message=message)
    runtime = stage.bridge.runtime
    begun = store.claims.begin(ask(delivery, message, "c", runtime))
    stage.clock.advance(0.005)
    claimed = Claimed(delivery=delivery, message=message, claim="c", backend="memory", begun=begun)

    outcome = attempt(claimed, runtime)

    assert (Again(after_ms=0, counted=False, ran=False, why="not due yet"), []) == (outcome, ran)


def test_an_async_task_runs_to_its_end(stage: Stage):
    """Its result and its errors are those of any other; one that was cancelled from inside has failed."""
    me: list[str] = []

    @stage.bridge.task(name="tests.send")
    async def send(what: str) -> str:
        await asyncio.sleep(0)
        me.append(current().id)
        if what == "cancel":
            raise asyncio.CancelledError
        return what

    message = a_message(args=msgspec.Raw(b'["sent"]'))

    assert Done("sent") == stage.run(message)
    assert [message.id] == me
    assert isinstance(stage.run(a_message(args=msgspec.Raw(b'["cancel"]'))), Again)
