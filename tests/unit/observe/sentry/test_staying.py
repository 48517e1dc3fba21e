"""The scope of a run that nobody looked at stays where it is, and is used again: nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from threading import Event, Thread
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.scope import Scope

from taskbridge import Bridge
from taskbridge.observe.sentry.run import Run
from taskbridge.testing.worker import Worker

from .conftest import Kept


@pytest.fixture
def bridge(bridge: Bridge, sentry: Kept) -> Bridge:
    """One that has run a task that tells nothing."""
    bridge.task(name="silent")(lambda: None)
    run(bridge, "silent")
    return bridge


def run(bridge: Bridge, *names: str) -> None:
    for name in names:
        bridge.external(name, queue="default").enqueue()
    Worker(bridge).run_pending()


def whose(error: Any) -> str:
    return str(error["contexts"].get("taskbridge", {}).get("task", ""))


def test_it_is_one_scope_for_many_runs(bridge: Bridge):
    """Until one of them looks."""
    stayed = Scope.get_isolation_scope()
    run(bridge, "silent", "silent")

    assert isinstance(stayed, Run)
    assert stayed is Scope.get_isolation_scope()


def test_between_runs_it_is_what_is_around_it(bridge: Bridge, sentry: Kept):
    """What is told there is told to that, of either kind, and goes along into the next run."""
    around = Scope.get_isolation_scope()
    assert isinstance(around, Run)
    outer, current = around.around, around.beside.around
    sentry_sdk.set_tag("shop", "north")
    Scope.get_current_scope().set_tag("desk", "7")
    bridge.task(name="telling")(lambda: sentry_sdk.capture_message("told"))
    sentry_sdk.capture_message("between")
    run(bridge, "telling")

    between, told = sentry.errors
    assert ({"shop": "north"}, {"desk": "7"}) == (outer._tags, current._tags)
    assert ("", "telling") == (whose(between), whose(told))
    assert {"shop": "north", "desk": "7"} == between["tags"]
    assert between["tags"].items() <= told["tags"].items()
    assert (outer, current) == (Scope.get_isolation_scope(), Scope.get_current_scope())


def test_a_run_that_looks_leaves_nothing_to_the_next(bridge: Bridge, sentry: Kept):
    """Nor does its report become another's."""

    @bridge.task(name="telling")
    def telling() -> None:
        sentry_sdk.set_tag("a", "1")
        sentry_sdk.capture_message("told")

    bridge.task(name="other")(lambda: sentry_sdk.capture_message("told"))
    run(bridge, "silent", "telling", "silent", "other")

    first, second = sentry.errors
    assert [("telling", "1"), ("other", None)] == [(whose(one), one["tags"].get("a")) for one in (first, second)]


@pytest.mark.parametrize("kind", [Scope.get_isolation_scope, Scope.get_current_scope], ids=["isolation", "current"])
def test_one_that_looks_at_one_kind_leaves_nothing_either(bridge: Bridge, sentry: Kept, kind: Callable[[], Scope]):
    """Both kinds go together."""
    bridge.task(name="telling")(lambda: kind().set_tag("a", "1"))
    bridge.task(name="other")(lambda: sentry_sdk.capture_message("told"))
    run(bridge, "telling", "other")

    (told,) = sentry.errors
    assert ("other", None) == (whose(told), told.get("tags", {}).get("a"))
    assert "a" not in kind()._tags


def test_a_run_has_what_is_around_it_now(bridge: Bridge, sentry: Kept):
    """Whoever runs it may stand in another scope than last time, and nothing of the run stays in that."""
    bridge.task(name="tagging")(lambda: Scope.get_current_scope().set_tag("a", "1"))
    bridge.task(name="telling")(lambda: sentry_sdk.capture_message("told"))
    with sentry_sdk.new_scope() as scope:
        scope.set_tag("shop", "north")
        run(bridge, "tagging", "telling")

    (told,) = sentry.errors
    assert ("telling", {"shop": "north"}) == (
        whose(told),
        {name: told["tags"][name] for name in ("shop", "a") if name in told["tags"]},
    )


@pytest.mark.parametrize("meanwhile", ["silent", "telling", ""])
def test_a_thread_that_outlives_its_task_is_nobody_elses(bridge: Bridge, sentry: Kept, meanwhile: str):
    """It looks for the first time when its run is over: another task, or what is around, has nothing of it."""
    go = Event()

    def late() -> None:
        assert go.wait(20)
        sentry_sdk.set_tag("late", "1")
        sentry_sdk.capture_message("late")

    threads: list[Thread] = []

    @bridge.task(name="starting")
    def starting() -> None:
        threads.append(Thread(target=copy_context().run, args=(late,)))
        threads[0].start()

    def finish() -> None:
        go.set()
        threads[0].join(20)

    bridge.task(name="telling")(lambda: (finish(), sentry_sdk.capture_message("told"))[1])
    run(bridge, "starting", *filter(None, [meanwhile]))
    finish()
    run(bridge, "telling")

    assert {"late": ""} == {one["message"]: whose(one) for one in sentry.errors if one["message"] == "late"}
    assert [] == [one for one in sentry.errors if one["message"] == "told" and "late" in one["tags"]]


def test_a_thread_of_a_run_that_goes_on_is_of_that_run(bridge: Bridge, sentry: Kept):
    """Where its context was handed over."""

    @bridge.task(name="handing")
    def handing() -> None:
        thread = Thread(target=copy_context().run, args=(sentry_sdk.capture_message, "told"))
        thread.start()
        thread.join(20)

    run(bridge, "handing")

    (told,) = sentry.errors
    assert "handing" == whose(told)


def test_a_run_within_a_run_takes_none_of_its_scopes(bridge: Bridge, sentry: Kept):
    """A task that has others run in its thread finds its own scope behind them."""

    @bridge.task(name="outer")
    def outer() -> None:
        run(bridge, "silent", "silent")
        sentry_sdk.set_tag("a", "1")
        run(bridge, "silent")
        sentry_sdk.capture_message("told")

    run(bridge, "outer")

    (told,) = sentry.errors
    assert ("outer", "1") == (whose(told), told["tags"].get("a"))


def test_two_threads_have_two(bridge: Bridge):
    """Also where one was handed the context of the other, with the scope that stays in it."""
    found: list[object] = []

    def other() -> None:
        run(bridge, "silent")
        found.append(Scope.get_isolation_scope())

    thread = Thread(target=copy_context().run, args=(other,))
    thread.start()
    thread.join(20)

    (theirs,) = found
    assert isinstance(theirs, Run)
    assert theirs is not Scope.get_isolation_scope()
