"""Firing ticks: one message each, in their time, whatever is in the way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from taskbridge import Bridge, Chunk, chunked, current, every, ids
from taskbridge.errors import StoreFull
from taskbridge.relay.periodic import FORGET_MS, FULL_MS, UNREADABLE_MS, FireTicks, ForgetSchedules
from taskbridge.schedules.declared import declarer_of
from taskbridge.schedules.plan import LATE_MS
from taskbridge.store.schedules import ScheduleState
from taskbridge.testing import FakeClock
from taskbridge.testing.fakes import NOON_MS
from taskbridge.testing.worker import Worker

Declare = Callable[..., FireTicks]


@pytest.fixture
def ticking(bridge: Bridge, clock: FakeClock) -> Declare:
    """A task that ticks every minute, first in a minute; returns the duty that fires it."""

    def declare(**options: Any) -> FireTicks:
        start = datetime.fromtimestamp(clock.now_ms() / 1000 + 60, UTC)

        @bridge.task(name="app.f", queue="q", schedule=every(minutes=1, start=start, **options))
        def f() -> None: ...

        declarer_of(bridge.definitions, bridge.sender)()
        return FireTicks(bridge.store)

    return declare


def state(bridge: Bridge) -> ScheduleState:
    (found,) = bridge.store.schedules.all()
    return found


def kept(bridge: Bridge) -> list[str]:
    """The ids that are to be published."""
    return [due.id for due in bridge.store.outbox.take(1_000)]


def test_each_tick_is_fired_once(ticking: Declare, bridge: Bridge, clock: FakeClock):
    """Not before its time; by the first of two that look."""
    fire = ticking()
    tick_ms = state(bridge).tick_ms

    assert [0, 0] == [fire(), FireTicks(bridge.store)()]
    clock.advance(60)
    assert [1, 0, 0] == [fire(), FireTicks(bridge.store)(), fire()]
    clock.advance(60)
    assert [1, 0] == [FireTicks(bridge.store)(), fire()]

    assert [f"app.f@{tick_ms}", f"app.f@{tick_ms + 60_000}"] == kept(bridge)


@pytest.mark.parametrize(
    ("missed", "fired", "passed_over"), [("skip", [], 5), ("last", [4], 4), ("all", [*range(5)], 0)]
)
def test_missed_ticks_by_policy(
    ticking: Declare, bridge: Bridge, clock: FakeClock, missed: str, fired: list[int], passed_over: int
):
    """Nobody looked for five minutes: none is fired, the last, or all; then it goes on as if nothing had been."""
    fire = ticking(missed=missed)
    tick_ms = state(bridge).tick_ms
    clock.advance(5 * 60 + 2 * LATE_MS / 1000)

    while fire():
        pass

    assert [f"app.f@{tick_ms + n * 60_000}" for n in fired] == kept(bridge)
    assert (passed_over, tick_ms + 5 * 60_000) == (state(bridge).missed, state(bridge).tick_ms)
    clock.advance(60)
    assert 1 == fire()


def test_a_leader_that_comes_seconds_later_fires_all(ticking: Declare, bridge: Bridge, clock: FakeClock):
    """No policy counts what is hardly late as missed."""
    fire = ticking(missed="skip")
    clock.advance(60 + LATE_MS / 1000)

    assert 1 == fire()

    assert 0 == state(bridge).missed


def test_a_full_store_keeps_the_tick(
    ticking: Declare,
    bridge: Bridge,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """It is due again a second later, and fired when there is room; the relay does not turn in circles meanwhile."""
    fire, really = ticking(), bridge.store.schedules.fire
    tick_ms = state(bridge).tick_ms
    clock.advance(60)

    def full(*_: object) -> str:
        raise StoreFull("no memory left")

    monkeypatch.setattr(bridge.store.schedules, "fire", full)
    with caplog.at_level(logging.WARNING, "taskbridge.relay"):
        assert [0, 0] == [fire(), fire()]
    monkeypatch.setattr(bridge.store.schedules, "fire", really)
    clock.advance(FULL_MS / 1000)

    assert 1 == fire()
    assert [f"app.f@{tick_ms}"] == kept(bridge)
    assert 1 == caplog.text.count("is fired when there is room")


def test_a_plan_that_cannot_be_read_stops_no_other(
    ticking: Declare, bridge: Bridge, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    """It is looked at again after a while, for a relay that can read it may lead then; the others are fired."""
    fire = ticking()
    seen = state(bridge)
    bridge.store.schedules.change("app.f", seen.version, changes=b"of tomorrow", paused=False, tick_ms=seen.tick_ms)

    @bridge.task(name="app.g", queue="q", schedule=every(seconds=30))
    def g() -> None: ...

    declarer_of(bridge.definitions, bridge.sender)()
    clock.advance(60)

    with caplog.at_level(logging.ERROR, "taskbridge.relay"):
        assert 1 == fire()
        while fire():
            pass
        assert 1 == caplog.text.count("a tick is not fired")
        clock.advance(UNREADABLE_MS / 1000)
        fire()

    assert {"app.g"} == {id.partition("@")[0] for id in kept(bridge)}
    assert 2 == caplog.text.count("a tick is not fired: the schedule 'app.f' cannot be read here")


def test_overlapping_ticks_are_skipped_and_counted(ticking: Declare, bridge: Bridge, clock: FakeClock):
    """While the first one has not run, the others are not queued behind it."""
    fire = ticking(overlap="skip")
    for _ in range(4):
        clock.advance(60)
        fire()

    assert (1, 3) == (state(bridge).fired, state(bridge).skipped)
    assert 1 == len(kept(bridge))


def test_schedules_that_nobody_declares_end_after_a_day(
    ticking: Declare, bridge: Bridge, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    """Until then they tick; the log says so."""
    ticking()
    forget = ForgetSchedules(bridge.store)
    clock.advance(FORGET_MS / 1000)
    forget()
    assert [True] == [bool(one.tick_ms) for one in bridge.store.schedules.all()]
    clock.advance(61)
    with caplog.at_level(logging.WARNING, "taskbridge.relay"):
        forget()

    assert [] == bridge.store.schedules.all()
    assert "the schedule app.f ends" in caplog.text


def test_a_worker_in_this_process_runs_its_schedules(bridge: Bridge, clock: FakeClock):
    """Declared, fired, published and run by ``run_pending`` alone; the task sees when it was due."""
    ran = []

    @bridge.task(name="app.f", schedule=every(minutes=5, args=["x"]), expires=60)
    def f(text: str) -> None:
        ran.append((text, current().id, current().first_due_ms))

    worker = Worker(bridge)
    for _ in range(12):
        worker.run_pending()
        clock.advance(60)

    assert [("x", f"app.f@{at_ms}", at_ms) for at_ms in (NOON_MS + 300_000, NOON_MS + 600_000)] == ran


def test_a_chunked_task_may_be_scheduled(bridge: Bridge, clock: FakeClock):
    """Each tick is a run of its own, which goes through all of its chunks."""
    ran: list[list[int]] = []

    @bridge.task(name="app.all", schedule=every(minutes=5, args=["x"], overlap="skip"))
    @chunked(over=ids(1, 10), size=5)
    def all_of_them(chunk: Chunk[int], kind: str) -> None:
        assert kind == "x"
        ran.append(list(chunk))

    worker = Worker(bridge)
    for _ in range(11):
        worker.run_pending()
        clock.advance(60)
    worker.run_pending()

    assert [[1, 2, 3, 4, 5], [6, 7, 8, 9]] * 2 == ran
    assert (2, 0) == (state(bridge).fired, state(bridge).skipped)
