"""Hooks and middleware: in which order, what each may stop, and what a failing one means."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any

import msgspec
import pytest

from taskbridge import Bridge, Current, Drop, Reschedule, Retry, current
from taskbridge.errors import ConfigError
from taskbridge.hooks import CallNext, Middleware
from taskbridge.outcome import Again, Done, Ended, Parked
from taskbridge.testing import a_message
from taskbridge.testing.fakes import NOON_MS
from taskbridge.testing.worker import Worker

from .deliveries import AT_ONCE, Stage, raising

KINDS = {
    "before_task": ("current",),
    "after_task": ("current", "outcome"),
    "on_failure": ("current", "error", "final"),
    "on_worker_start": (),
    "middleware": ("call_next", "current"),
}

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@pytest.fixture
def seen() -> list[Any]:
    return []


def noting(seen: list[Any], name: str) -> Middleware:
    """Middleware that writes down when it was entered and left."""

    def layer(call_next: CallNext, current: Current) -> Any:
        seen.append(f"{name} in")
        try:
            return call_next()
        finally:
            seen.append(f"{name} out")

    return layer


def watched(bridge: Bridge, seen: list[Any]) -> None:
    """Have every hook write down that it was called."""
    bridge.before_task(lambda current: seen.append("before"))
    bridge.after_task(lambda current, outcome: seen.append(("after", type(outcome).__name__)))
    bridge.on_failure(lambda current, error, final: seen.append(("failure", repr(error), final)))


def a_task(stage: Stage, seen: list[Any], **options: Any) -> None:
    stage.bridge.task(name="tests.send", **{"retry": AT_ONCE, **options})(lambda: seen.append("task"))


def test_all_runs_in_declared_order(stage: Stage, seen: list[Any]):
    """Hooks one after the other; middleware like an onion: the bridge's around the task's, the first outermost."""
    for name in "ab":
        stage.bridge.before_task(lambda current, name=name: seen.append(f"before {name}"))
        stage.bridge.after_task(lambda current, outcome, name=name: seen.append(f"after {name}"))
    a_task(stage, seen, middleware=[noting(seen, "c"), noting(seen, "d")])
    for name in "ab":
        stage.bridge.middleware(noting(seen, name))

    stage.run(a_message())

    ins, outs = [f"{name} in" for name in "abcd"], [f"{name} out" for name in "dcba"]
    assert ["before a", "before b", *ins, "task", *outs, "after a", "after b"] == seen


def test_hooks_are_told_of_their_run(stage: Stage, seen: list[Any]):
    """The message that runs is ``current()`` in each, and what became of it is the outcome that the store is told."""
    stage.bridge.before_task(lambda me: seen.append(me is current()))
    stage.bridge.after_task(lambda me, outcome: seen.append((me is current(), outcome)))
    stage.bridge.on_failure(lambda me, error, final: seen.append((me is current(), error, final)))
    wrong = ValueError("no")
    raising(stage, wrong, retry=None)

    outcome = stage.run(message := a_message())

    assert [True, (True, wrong, True), (True, outcome)] == seen
    assert "DEAD" == stage.look(message).state


@pytest.mark.parametrize(
    ("error", "state", "failures"),
    [
        (ValueError("no"), "READY", [("failure", "ValueError('no')", False)]),
        (SystemExit(3), "DEAD", [("failure", "SystemExit(3)", True)]),
        (Retry("busy"), "READY", [("failure", "Retry('busy')", False)]),
        (Reschedule(), "READY", []),
        (Drop("enough"), "DONE", []),
        (Reschedule(5, give_up_after=1), "DEAD", [("failure", "Reschedule('again in 5')", True)]),
        (Reschedule(kwargs={"nothing": 1}), "DEAD", [("failure", "Reschedule('again in 0')", True)]),
    ],
)
@pytest.mark.parametrize("where", ["task", "middleware", "before_task"])
def test_what_is_raised_is_judged_wherever_it_is_raised(
    stage: Stage, seen: list[Any], error: BaseException, state: str, failures: list[Any], where: str
):
    """An error is a failed attempt and a signal its word; ``on_failure`` hears of failures, final when it is dead."""

    def fails(*_: Any) -> None:
        raise error

    stage.bridge.on_failure(lambda current, error, final: seen.append(("failure", repr(error), final)))
    stage.bridge.task(name="tests.send", retry=AT_ONCE, middleware=[fails] if where == "middleware" else [])(
        lambda: fails() if where == "task" else None
    )
    if where == "before_task":
        stage.bridge.before_task(fails)

    stage.run(message := a_message())

    assert (state, failures) == (stage.look(message).state, seen)


def test_before_task_that_fails_stops_the_run(stage: Stage, seen: list[Any]):
    """Neither the hooks after it nor middleware nor the task are called; what cleans up is."""
    stage.bridge.before_task(lambda current: 1 / 0 if current.attempt == 1 else None)
    watched(stage.bridge, seen)
    a_task(stage, seen, middleware=[noting(seen, "layer")])

    outcome = stage.run(message := a_message())

    assert isinstance(outcome, Again)
    assert ("READY", 2) == (stage.look(message).state, stage.look(message).attempt)
    assert [("failure", "ZeroDivisionError('division by zero')", False), ("after", "Again")] == seen
    assert Done(None) == stage.run(stage.copy(message))
    assert ["before", "layer in", "task", "layer out", ("after", "Done")] == seen[2:]


def test_before_task_that_always_fails_ends_among_the_dead(stage: Stage, seen: list[Any]):
    """After the task's retries; the last failure is told to be final."""
    stage.bridge.before_task(lambda current: 1 / 0)
    watched(stage.bridge, seen)
    a_task(stage, seen)
    copy = message = a_message()

    for _ in range(2):
        stage.run(copy)
        copy = stage.copy(message)
        stage.bridge.store.outbox.mark([(copy.id, copy.seq)])
    stage.run(copy)

    assert [False, False, True] == [one[2] for one in seen if one[0] == "failure"]
    assert ["failed 3 times: ZeroDivisionError: division by zero"] == [
        one.why for one in stage.bridge.store.dead.list(9)
    ]


@pytest.mark.parametrize("error", [OSError("no disk"), SystemExit(1)])
def test_hook_that_looks_on_changes_nothing(
    stage: Stage, seen: list[Any], caplog: pytest.LogCaptureFixture, error: BaseException
):
    """A failing ``after_task`` or ``on_failure`` is logged with its traceback; outcome and the other hooks stand."""

    def broken(*_: Any) -> None:
        raise error

    for declare in (stage.bridge.after_task, stage.bridge.on_failure):
        declare(broken)
    watched(stage.bridge, seen)
    raising(stage, Retry("busy"), retry=AT_ONCE)

    with caplog.at_level(logging.ERROR, "taskbridge.hooks"):
        stage.run(message := a_message())

    assert ["before", ("failure", "Retry('busy')", False), ("after", "Again")] == seen
    assert ("READY", 2) == (stage.look(message).state, stage.look(message).attempt)
    assert 2 == len(caplog.records)
    assert [repr(error)] * 2 == [repr(one.exc_info[1]) for one in caplog.records if one.exc_info]
    assert all("broken" in one.message and "stands" in one.message for one in caplog.records)


def test_what_is_not_run_calls_no_hook(stage: Stage, seen: list[Any]):
    """An unknown task, arguments that do not decode, a native delay, a copy: none of them is a run."""
    watched(stage.bridge, seen)

    @stage.bridge.task(name="tests.send", middleware=[noting(seen, "layer")])
    def send(n: int = 1) -> None: ...

    done = a_message()
    stage.run(done)
    seen.clear()

    unknown = stage.run(a_message(task="tests.of_tomorrow"))
    undecoded = stage.run(a_message(args=msgspec.Raw(b'["one"]')))
    early = stage.run(a_message(engine="celery", due_at_ms=NOON_MS + 1000))
    copy = stage.run(done)

    assert (Parked, Ended, Again, type(None)) == (type(unknown), type(undecoded), type(early), type(copy))
    assert [] == seen


def test_task_that_is_called_is_a_function(stage: Stage, seen: list[Any]):
    """Here and now there is no message: no hook, no middleware."""
    watched(stage.bridge, seen)
    task = stage.bridge.task(name="tests.send", middleware=[noting(seen, "layer")])(lambda: seen.append("task"))

    task()

    assert ["task"] == seen


def test_result_is_what_the_outermost_middleware_returns(stage: Stage, seen: list[Any]):
    """Middleware may change it; one that does not call next answers by itself, and the task is not run."""
    a_task(
        stage, seen, middleware=[lambda call_next, current: [call_next(), current.task], lambda call_next, _: "mine"]
    )

    assert Done(["mine", "tests.send"]) == stage.run(a_message())
    assert [] == seen


def test_coroutine_has_ended_when_next_returns(stage: Stage, seen: list[Any]):
    """For ``async def`` tasks middleware is the same: it has the result, meets the error, and its context holds."""

    def of_a_tenant(call_next: CallNext, me: Current) -> Any:
        token = tenant.set("bank")
        try:
            return call_next()
        except ValueError as error:
            return f"met {error}"
        finally:
            tenant.reset(token)

    @stage.bridge.task(name="tests.send", middleware=[of_a_tenant, noting(seen, "layer")])
    async def send(fails: bool = False) -> str:
        seen.append(tenant.get())
        if fails:
            raise ValueError("no")
        return "sent"

    ended = stage.run(a_message())
    failed = stage.run(a_message(args=msgspec.Raw(b"[true]")))

    assert (Done("sent"), Done("met no")) == (ended, failed)
    assert ["layer in", "bank", "layer out"] * 2 == seen
    assert "nobody" == tenant.get()


def test_integration_stands_around_everything(stage: Stage, seen: list[Any]):
    """Though it is declared last, and twice; what it does afterwards cannot break the work."""

    def broken(definition: Any) -> None:
        seen.append(f"closed {definition.name}")
        raise OSError

    watched(stage.bridge, seen)
    a_task(stage, seen)
    opened: Callable[..., None] = lambda definition: seen.append(f"opened {definition.name}")  # noqa: E731
    for _ in range(2):
        stage.bridge.hooks.outside(opened, broken)

    assert Done(None) == stage.run(a_message())
    assert ["opened tests.send", "before", "task", ("after", "Done"), "closed tests.send"] == seen


def test_start_hooks_are_called_once_before_the_first_task(stage: Stage, seen: list[Any]):
    """Each once in a process, in declared order, whichever of its threads is first; not for what it does not run."""
    for name in "ab":
        stage.bridge.on_worker_start(partial(seen.append, name))
    a_task(stage, seen)

    stage.run(a_message(task="tests.of_tomorrow"))
    before = list(seen)
    together = threading.Barrier(4)

    def run() -> None:
        together.wait()
        stage.run(a_message())

    with ThreadPoolExecutor(4) as threads:
        for one in [threads.submit(run) for _ in range(4)]:
            one.result()

    assert ([], ["a", "b", *["task"] * 4]) == (before, seen)


def test_nothing_is_begun_while_a_start_hook_fails(stage: Stage, seen: list[Any], caplog: pytest.LogCaptureFixture):
    """Under an engine's own command it is tried again, with longer waits; no attempt is spent, nothing is lost."""
    message, states = a_message(), []
    stage.bridge.on_worker_start(partial(seen.append, "first"))

    @stage.bridge.on_worker_start
    def connect() -> None:
        states.append((stage.bridge.store.messages.look(message.id), stage.clock.now_ms() - NOON_MS))
        if len(states) < 4:
            raise ConnectionError("the database is away")

    stage.bridge.task(name="tests.send")(lambda: seen.append((current().attempt, current().starts)))

    assert Done(None) == stage.run(message)
    assert ["first", (1, 1)] == seen
    assert [(None, 0), (None, 250), (None, 750), (None, 1750)] == states
    assert 3 == sum("on_worker_start failed; nothing is begun" in one.message for one in caplog.records)


def test_a_worker_for_tests_starts_or_says_why(bridge: Bridge, seen: list[Any]):
    """``taskbridge.testing.Worker`` calls the start hooks once, and raises what they raise: the test should know."""

    @bridge.on_worker_start
    def connect() -> None:
        seen.append("start")
        if len(seen) == 1:
            raise ConnectionError("away")

    bridge.task(name="tests.send", queue="mail")(lambda: seen.append("task")).enqueue()

    with pytest.raises(ConnectionError):
        Worker(bridge).run_pending()
    Worker(bridge).run_pending()
    Worker(bridge).run_pending()

    assert ["start", "start", "task"] == seen


async def awaits(*_: Any) -> None: ...


def yields(*_: Any) -> Iterator[None]:
    yield


class Awaits:
    async def __call__(self, *_: Any) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("with_tenant", "got 'with_tenant'"),
        (None, "got None"),
        (awaits, "not an async def, got"),
        (partial(awaits, 1), "not an async def, got"),
        (Awaits(), "not an async def, got"),
        (yields, "not a generator or a context manager, got"),
        (contextlib.contextmanager(yields), "not a generator or a context manager, got"),
        (lambda a, b, c, d: None, "missing a required argument"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_called_so_is_refused(bridge: Bridge, kind: str, wrong: Any, why: str):
    """When declared, with what was expected; what such a call would not run could only be missed later."""
    expected = rf"{kind}: expected a plain function \({', '.join(KINDS[kind])}\).*{why}"

    with pytest.raises(ConfigError, match=expected):
        getattr(bridge, kind)(wrong)
    if kind == "middleware":
        with pytest.raises(ConfigError, match=expected):
            bridge.task(name="tests.send", middleware=[wrong])(lambda: None)

    assert {} == bridge.definitions


@pytest.mark.parametrize("middleware", [print, "timed", 5, {"a": print}])
def test_middleware_is_a_list(bridge: Bridge, middleware: Any):
    """In an order; nothing else says which one is outermost."""
    with pytest.raises(ConfigError, match=r"middleware: expected a list of functions \(call_next, current\), got"):
        bridge.task(name="tests.send", middleware=middleware)(lambda: None)


def test_middleware_belongs_to_the_declaration(bridge: Bridge):
    """A message does not carry it: for one call, or for a task elsewhere, it is refused and not ignored."""
    task = bridge.task(name="tests.send", middleware=[noting([], "layer")])(lambda: None)

    with pytest.raises(ConfigError, match="middleware belongs where the task is declared"):
        task.using(middleware=[])
    with pytest.raises(ConfigError, match="middleware belongs where the task is declared"):
        bridge.external("legacy.add", queue="legacy", middleware=[])

    assert task.options.middleware == task.using(priority=9).options.middleware


def test_hooks_are_decorators(bridge: Bridge):
    """Each gives back what it was given."""

    def hook(*_: Any) -> None: ...

    assert [hook] * len(KINDS) == [getattr(bridge, kind)(hook) for kind in KINDS]


def test_hooks_of_another_bridge_are_not_called(stage: Stage, bridge: Bridge, seen: list[Any]):
    """They belong to the bridge they are declared on."""
    other = Bridge()
    watched(other, seen)
    a_task(stage, [])

    stage.run(a_message())

    assert [] == seen
