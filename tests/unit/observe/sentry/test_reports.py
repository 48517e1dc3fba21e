"""Reports: one per final failure, with what it is about and nothing secret; what is not final is none."""

from __future__ import annotations

import functools
import gc
import logging
import os
import random
import weakref
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.scope import Scope
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber

from taskbridge import Backoff, Drop, Lock, RateLimit, Reschedule, Retry, SoftTimeout, Throttled
from taskbridge.backend import Delivery
from taskbridge.errors import HardTimeout
from taskbridge.events import Buried, Failed, Retried
from taskbridge.execution import deliver
from taskbridge.message import Message, encode
from taskbridge.observe.sentry.reports import About, Reports
from taskbridge.observe.sentry.runs import MOST_OF_ONE, Runs
from taskbridge.observe.sentry.traces import Traces
from taskbridge.store import LEASE_MS, Begin
from taskbridge.testing import a_message

from ...deliveries import AT_ONCE, Stage, raising
from .conftest import Init, Kept

ONCE = Backoff(max_retries=0)


def as_json(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def a_call(*args: Any, **kwargs: Any) -> Message:
    """A message with these arguments."""
    return a_message(args=as_json(args), kwargs=as_json(kwargs))


def run_out(stage: Stage, message: Message) -> None:
    """Deliver it until it does not come again."""
    while stage.run(message) and stage.look(message).state in ("READY", "DELAYED"):
        message = stage.copy(message)


def crumbs(error: Any) -> list[str]:
    return [one["message"] for one in error["breadcrumbs"]["values"]]


def test_a_final_failure_is_one_report_with_what_it_is_about(stage: Stage, sentry: Kept):
    """Of three attempts one report: the error with its frames, whose it is, and the retries before it."""
    raising(stage, ValueError("no such account"))
    message = a_call(3, size=20)

    run_out(stage, message)

    (error,) = sentry.errors
    about = {"task": "tests.send", "queue": "mail", "backend": "memory", "attempt": 3, "message_id": message.id}
    assert about | {"arguments": {"page": 3, "size": 20}} == error["contexts"]["taskbridge"]
    assert about | {"attempt": "3"} == error["tags"]
    assert "tests.send" == error["transaction"]
    (value,) = error["exception"]["values"]
    assert ("ValueError", "no such account") == (value["type"], value["value"])
    assert {"type": "taskbridge", "handled": False} == value["mechanism"]
    assert "fingerprint" not in error
    assert "fail" == value["stacktrace"]["frames"][-1]["function"]
    assert {False} == {frame["in_app"] for frame in value["stacktrace"]["frames"] if "taskbridge." in frame["module"]}
    assert [
        "attempt 1 failed and it runs again in 0 s: ValueError: no such account",
        "attempt 2 failed and it runs again in 0 s: ValueError: no such account",
    ] == crumbs(error)


def test_a_report_has_the_breadcrumbs_of_its_own_message(stage: Stage, sentry: Kept):
    """Of several that fail in turn, each its own retries and its own crumbs, and none of the worker's."""
    sentry_sdk.add_breadcrumb(message="of the worker")

    @stage.bridge.task(name="tests.send", retry=AT_ONCE)
    def send(name: str) -> None:
        sentry_sdk.add_breadcrumb(message=f"asked for {name}")
        raise ValueError(name)

    messages = [a_call(name) for name in "ab"]
    first = [(stage.run(message), stage.copy(message))[1] for message in messages]
    for message in first:
        run_out(stage, message)

    assert [
        [
            f"attempt 1 failed and it runs again in 0 s: ValueError: {name}",
            f"attempt 2 failed and it runs again in 0 s: ValueError: {name}",
            f"asked for {name}",
        ]
        for name in "ab"
    ] == [crumbs(error) for error in sentry.errors]


@pytest.mark.parametrize(
    "signal",
    [Retry(after=60), Reschedule(after=60), Throttled(after=60), Drop("not wanted"), None],
    ids=lambda signal: type(signal).__name__,
)
def test_what_is_no_final_failure_is_no_report(signal: Exception | None, stage: Stage, sentry: Kept):
    """A task's signals, and a task that returns, tell Sentry nothing at all."""

    @stage.bridge.task(name="tests.send", rate_limit=RateLimit("1/s"))
    def send() -> None:
        if signal:
            raise signal

    stage.run(a_message())

    assert [] == sentry.envelopes


def test_a_soft_timeout_that_is_final_is_reported(stage: Stage, sentry: Kept):
    """As the failure that it is."""
    raising(stage, SoftTimeout("soft timeout after 1 s"), retry=ONCE)

    stage.run(a_message())

    (error,) = sentry.errors
    assert "SoftTimeout" == error["exception"]["values"][-1]["type"]


class TooLate(Exception):
    """One that can be asked whether it is still there."""


def test_a_result_that_is_refused_is_not_reported(stage: Stage, sentry: Kept):
    """Another worker has the message: what becomes of it is told by that one. Nothing of it is kept here."""

    @stage.bridge.task(name="tests.send", retry=ONCE)
    def send() -> None:
        store = stage.bridge.store
        store.claims.sweep(10)
        for _ in range(LEASE_MS // 1_000 + 1):
            stage.clock.advance(1)
            store.claims.sweep(10)
        error = TooLate()
        errors.append(weakref.ref(error))
        raise error

    errors: list[weakref.ref[TooLate]] = []
    stage.run(a_message())

    assert "ClaimRefused" == stage.told()[-1]
    assert [] == sentry.errors
    gc.collect()
    assert [None] == [error() for error in errors]


def test_a_message_that_was_lost_too_often_is_reported_with_its_trace(stage: Stage, sentry: Kept):
    """It did not run here: what it was is in the store. Those that differ in numbers alone are one issue."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    raising(stage, AssertionError("run"), max_crashes=0)
    message = a_call(7).copy(trace=as_json({"sentry-trace": f"{trace}-b7ad6b7169203331"}))
    stage.bridge.store.claims.begin(Begin(message=message, body=encode(message), claim="c", max_crashes=0))
    stage.bridge.store.claims.lose(message.id, "c")
    stage.bridge.runtime  # noqa: B018 - observed from now on

    stage.bridge.events.emit(Failed(id=message.id, task="tests.send", queue="mail", why="lost 1 times"))

    (error,) = sentry.errors
    assert trace == error["contexts"]["trace"]["trace_id"]
    assert {"page": 7} == error["contexts"]["taskbridge"]["arguments"]
    assert "%s is dead: %s" == error["logentry"]["message"]
    assert ["taskbridge", "tests.send", "lost # times"] == error["fingerprint"]


def test_a_hard_timeout_is_reported_by_its_name(stage: Stage, sentry: Kept):
    """As the supervisor tells of it, which knows no task: no argument is shown."""
    stage.bridge.runtime  # noqa: B018
    event = Failed(id="m", task="tests.other", queue="mail", why="hard", error=HardTimeout("hard timeout after 1 s"))

    stage.bridge.events.emit(event)

    (error,) = sentry.errors
    assert ("HardTimeout", "m") == (error["exception"]["values"][-1]["type"], error["tags"]["message_id"])
    assert "arguments" not in error["contexts"]["taskbridge"]
    assert ["{{ default }}", "tests.other"] == error["fingerprint"]  # without frames all tasks' would be one issue


def test_bytes_that_are_no_message_are_reported_and_not_shown(stage: Stage, sentry: Kept):
    """Somebody has lost work; what it was may be anything."""
    stage.bridge.runtime  # noqa: B018
    why = 'expected a Celery message (protocol 2, JSON), got b\'{"password":"hunter2"\': no body'

    stage.bridge.events.emit(Buried(id="raw-1", task="", queue="mail", backend="celery", why=why))

    (error,) = sentry.errors
    assert ["what is no message", "expected a Celery message (protocol 2, JSON)"] == error["logentry"]["params"]
    assert "hunter2" not in str(sentry.errors)


def test_no_secret_of_a_call_is_in_a_report(stage: Stage, sentry: Kept):
    """Hidden by name: given by place or by name, deep inside, and in the variables of the frames."""

    @stage.bridge.task(name="tests.send", retry=ONCE)
    def send(account: int, password: str, card: dict[str, Any], items: list[dict[str, str]]) -> None:
        copied = f"Card(number=7, cvv='{card['cvv']}')"
        raise ValueError(f"account {account} with {len(copied)} of {len(items)}")

    password, cvv, secret, token = secrets = [os.urandom(8).hex() for _ in range(4)]  # no source line has them
    stage.run(
        a_call(
            7,
            password,
            {"cvv": cvv, "holder": "Ada", "more": {"client_secret": secret}},
            items=[{"refreshToken": token, "id": "17"}],
        )
    )

    (error,) = sentry.errors
    assert {
        "account": 7,
        "password": "[Filtered]",
        "card": {"cvv": "[Filtered]", "holder": "Ada", "more": {"client_secret": "[Filtered]"}},
        "items": [{"refreshToken": "[Filtered]", "id": "17"}],
    } == error["contexts"]["taskbridge"]["arguments"]
    assert "Ada" in str(error["exception"]["values"][-1]["stacktrace"]["frames"][-1]["vars"])
    assert [] == [secret for secret in secrets if secret in str(sentry.errors)]


def test_a_secret_value_is_hidden_where_it_stands_without_its_name(stage: Stage, sentry: Kept):
    """In ``args`` of a decorator, in another variable, in what an error says, in a breadcrumb; a short one may stay."""
    password, token, code = os.urandom(8).hex(), os.urandom(500).hex(), random.randint(10_000, 99_999)

    def audited(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            kept = list(kwargs.values())
            return function(*args, **kwargs), kept

        return wrapper

    @stage.bridge.task(name="tests.send", retry=Backoff(max_retries=1, base=0, cap=0))
    @audited
    def send(account: int, password: str, pin: int, *, more: dict[str, Any]) -> None:
        other = f"of{password}"
        raise ValueError(f"{account}: no {other}, {pin}, {more['refreshToken']}, {more['cvv']}")

    run_out(stage, a_call(4711, password, code, more={"refreshToken": token, "cvv": "7"}))

    (error,) = sentry.errors
    assert "4711: no of[Filtered], [Filtered], [Filtered], 7" == error["exception"]["values"][-1]["value"]
    assert "4711" in str(error["exception"]["values"][-1]["stacktrace"])
    assert 1 == len(crumbs(error))
    assert [] == [one for one in (password, token[:100], f"'{code}'") if one in str(sentry.errors)]


def test_no_call_as_it_is_is_in_an_error_or_a_transaction(init: Init, stage: Stage):
    """The SDK's integrations for the engines put it there, unless they are told not to."""
    kept = init(traces_sample_rate=1.0)

    @stage.bridge.task(name="tests.send", retry=ONCE)
    def send(password: str) -> None:
        sentry_sdk.set_extra("celery-job", {"args": [password]})
        sentry_sdk.set_context("dramatiq", {"args": [password]})
        raise ValueError("declined")

    password = os.urandom(8).hex()
    stage.run(a_call(password))

    assert (1, 1) == (len(kept.errors), len(kept.transactions))
    assert password not in str([kept.errors, kept.transactions])


def test_the_names_of_the_clients_own_scrubber_are_hidden_too(init: Init, stage: Stage):
    """Who has taught the SDK a name need not teach us."""
    kept = init(event_scrubber=EventScrubber(denylist=[*DEFAULT_DENYLIST, "Merchant"]))
    stage.bridge.task(name="tests.pay", retry=ONCE)(pay)

    merchant = os.urandom(8).hex()
    stage.run(a_call(merchant=merchant).copy(task="tests.pay"))

    assert {"merchant": "[Filtered]"} == kept.errors[0]["contexts"]["taskbridge"]["arguments"]
    assert merchant not in str(kept.errors)


def pay(merchant: str) -> None:
    raise ValueError("declined")


def test_arguments_that_do_not_fit_are_not_shown(stage: Stage, sentry: Kept):
    """Nobody knows their names, so nobody knows which of them are secret."""
    raising(stage, AssertionError("run"), retry=ONCE)
    secret = os.urandom(8).hex()

    stage.run(a_call(1, secret))

    (error,) = sentry.errors
    assert "TypeError" == error["exception"]["values"][-1]["type"]
    assert secret not in str(error)
    assert {"argument 1", "argument 2"} == error["contexts"]["taskbridge"]["arguments"].keys()


def test_arguments_that_nobody_can_read_are_not_shown(stage: Stage, sentry: Kept):
    """Too deep to be decoded: the report says so, and hides what it hides of any other."""
    raising(stage, AssertionError("run"), retry=ONCE)
    secret = os.urandom(8).hex()
    deep = f'[{"[" * 20_000}{"]" * 20_000}, {{"password": "{secret}"}}]'

    message = a_message(args=msgspec.Raw(deep.encode()))
    about = About(id=message.id, task=message.task, queue="mail", backend="memory", attempt=1, message=message)

    event: Any = {"contexts": {"dramatiq": {"data": deep}}}
    Reports(stage.bridge.definitions).describe(event, about)

    assert {"...": "[cannot be read: RecursionError]"} == event["contexts"]["taskbridge"]["arguments"]
    assert secret not in str(event)


def test_what_is_shown_is_bounded_and_steers_no_terminal(stage: Stage, sentry: Kept):
    """Long text is cut, escapes are text, of many items a few: a report is for reading."""

    @stage.bridge.task(name="tests.send", retry=ONCE)
    def send(text: str, many: list[int]) -> None:
        raise ValueError("x")

    stage.run(a_call(f"\x1b[31mred{'x' * 60_000}", list(range(5_000))))

    shown = sentry.errors[0]["contexts"]["taskbridge"]["arguments"]
    assert shown["text"].startswith("\\x1b[31mredxxx")
    assert 600 > len(shown["text"])
    assert 21 >= len(shown["many"])
    assert "\x1b" not in str(sentry.errors[0]["contexts"])
    assert 60_000 > len(str(sentry.errors[0]["contexts"]))


def test_a_task_has_a_scope_of_its_own(stage: Stage, sentry: Kept):
    """What it sets is in what it tells, with what it is about; nothing of it is left for the next."""

    @stage.bridge.task(name="tests.send")
    def send(colour: str) -> None:
        sentry_sdk.set_tag(colour, "yes")
        sentry_sdk.set_tag("task", "of my own")
        sentry_sdk.capture_message(colour)

    for colour in ("red", "blue"):
        stage.run(a_call(colour))
    sentry_sdk.capture_message("outside")

    red, blue, outside = [error["tags"] for error in sentry.errors[:2]] + [sentry.errors[2].get("tags", {})]
    assert (True, False) == ("red" in red, "blue" in red)
    assert (False, True) == ("red" in blue, "blue" in blue)
    assert ("of my own", "mail") == (red["task"], red["queue"])
    assert {} == outside


@pytest.mark.parametrize("reported", ["captured", "logged", "captured in a coroutine"])
def test_an_error_that_the_task_has_told_of_is_not_told_of_again(reported: str, init: Init, stage: Stage):
    """One error, one report, with what it is about."""
    kept = init(integrations=[LoggingIntegration(), DedupeIntegration()])

    def tell(error: Exception) -> None:
        if reported == "logged":
            logging.getLogger("tests").error("failed", exc_info=error)
        else:
            sentry_sdk.capture_exception(error)

    def send() -> None:
        try:
            raise ValueError("x")
        except ValueError as error:
            tell(error)
            raise

    async def awaited() -> None:
        send()

    function: Callable[[], Any] = awaited if "coroutine" in reported else send
    stage.bridge.task(name="tests.send", retry=ONCE)(function)

    stage.run(a_message())

    (error,) = kept.errors
    assert ("tests.send", "1") == (error["tags"]["task"], error["tags"]["attempt"])


def test_two_messages_that_fail_with_one_error_object_are_two_reports(init: Init, stage: Stage):
    """The SDK takes the same object twice for one error told twice, which it is only inside of a run."""
    kept = init(integrations=[DedupeIntegration()])
    raising(stage, ValueError("made once"), retry=ONCE)

    stage.run(a_message())
    stage.run(a_message())

    assert 2 == len(kept.errors)


def test_an_error_that_a_task_has_told_of_and_got_over_hides_no_other(init: Init, stage: Stage):
    """Only the very error that the run has failed with counts."""
    kept = init(integrations=[DedupeIntegration()])

    @stage.bridge.task(name="tests.send", retry=ONCE)
    def send() -> None:
        try:
            raise KeyError("cache")
        except KeyError as error:
            sentry_sdk.capture_exception(error)
        raise ValueError("x")

    stage.run(a_message())

    assert ["KeyError", "ValueError"] == [error["exception"]["values"][-1]["type"] for error in kept.errors]


def test_what_the_log_says_of_a_failure_is_no_second_report(init: Init, stage: Stage):
    """The worker's line about it is at ERROR, of which the SDK would make an event."""
    kept = init(integrations=[LoggingIntegration()])
    raising(stage, ValueError("x"), retry=ONCE)
    stage.bridge.runtime  # noqa: B018

    logging.getLogger("taskbridge.tasks").error("tests.send is dead: x")
    stage.run(a_message())

    assert [True] == ["exception" in error for error in kept.errors]


class Unspeakable(Exception):
    """One that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_cannot_be_written_down_is_reported(stage: Stage, sentry: Kept):
    """Once, with its kind among the causes; what comes after it has a scope of its own as ever."""
    scope = Scope.get_isolation_scope()
    raising(stage, Unspeakable(), retry=ONCE)

    stage.run(a_message())

    (error,) = sentry.errors
    assert "Unspeakable" in [value["type"] for value in error["exception"]["values"]]
    assert scope is Scope.get_isolation_scope()


def test_a_failing_hook_is_the_reported_failure(stage: Stage, sentry: Kept):
    """It runs in the scope of the run, so what it sets is there."""
    raising(stage, AssertionError("run"), retry=ONCE)

    @stage.bridge.before_task
    def refuse(_: Any) -> None:
        sentry_sdk.set_tag("tenant", "7")
        raise PermissionError("no")

    stage.run(a_message())

    (error,) = sentry.errors
    assert ("PermissionError", "7") == (error["exception"]["values"][-1]["type"], error["tags"]["tenant"])


def test_a_lock_that_is_to_fail_is_reported(stage: Stage, sentry: Kept):
    """A final failure without a run of the function."""
    raising(stage, AssertionError("run"), retry=ONCE, lock=Lock("k", on_conflict="fail"))
    other = a_message()
    stage.bridge.task(name="tests.other", lock=Lock("k"))(lambda: stage.run(a_message(), claim="d"))

    stage.run(other.copy(task="tests.other"))

    assert ["LockHeld"] == [error["exception"]["values"][-1]["type"] for error in sentry.errors]


class Broken(Kept):
    """A transport that fails by itself."""

    def capture_envelope(self, envelope: Any) -> None:
        raise OSError("no route to Sentry")


def test_a_transport_that_fails_costs_no_message(init: Init, stage: Stage, caplog: pytest.LogCaptureFixture):
    """The failure is among the dead letters as ever, and the log says that it was not reported."""
    init(transport=Broken())
    raising(stage, ValueError("x"), retry=ONCE)
    message = a_message()

    stage.run(message)

    assert "DEAD" == stage.look(message).state
    assert "no route to Sentry" in caplog.text


def test_without_a_client_nothing_is_done(stage: Stage, init: Init, caplog: pytest.LogCaptureFixture):
    """No DSN is no reason to stop, and one line in the log."""
    raising(stage, ValueError("x"), retry=ONCE)
    message = a_message()

    stage.run(message)

    assert "DEAD" == stage.look(message).state
    assert "nothing is reported to Sentry: set SENTRY_DSN" in caplog.text


def test_without_a_client_the_store_is_asked_for_nothing(stage: Stage, init: Init, monkeypatch: pytest.MonkeyPatch):
    """What nobody is told of is not looked up."""
    looked: list[str] = []
    monkeypatch.setattr(stage.bridge.store.messages, "look", looked.append)
    stage.bridge.runtime  # noqa: B018

    stage.bridge.events.emit(Failed(id="1", task="tests.send", queue="mail", why="its worker was lost 3 times"))

    assert [] == looked


def test_what_no_key_can_be_made_of_is_one_report(init: Init, stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """Its end is; of what the log says before, the SDK would make another."""
    kept = init(integrations=[LoggingIntegration()])
    raising(stage, AssertionError("run"), retry=ONCE)

    def broken(*_: object) -> None:
        raise TypeError("no such key")

    monkeypatch.setattr("taskbridge.execution.needs_of", broken)
    stage.run(a_message())

    (error,) = kept.errors
    assert "no key of a lock or a limit" in error["logentry"]["params"][-1]


def test_a_message_that_is_tried_for_ever_keeps_few_breadcrumbs(stage: Stage, sentry: Kept):
    """The last hundred, as many as a report shows."""
    runs = Runs(stage.bridge, Traces(stage.bridge))

    for attempt in range(1, 3 * MOST_OF_ONE):
        runs.retried(Retried(id="1", task="tests.send", queue="mail", attempt=attempt, why="ValueError: x"))

    assert MOST_OF_ONE == len(runs._crumbs["1"])
    assert 3 * MOST_OF_ONE - 1 == runs._crumbs["1"][-1]["data"]["attempt"]


def test_a_claimed_problem_is_reported(stage: Stage, sentry: Kept):
    """A final failure that no error stands for is told in words, in the scope of its run."""
    raising(stage, AssertionError("run"))
    message = a_message()
    delivery = Delivery(tag="1", queue="mail", raw=b"", message=message, problem="no key can be made")

    deliver(delivery, message, "c", "memory", stage.bridge.runtime)

    (error,) = sentry.errors
    assert ["tests.send", "no key can be made"] == error["logentry"]["params"]
    assert "tests.send" == error["tags"]["task"]
