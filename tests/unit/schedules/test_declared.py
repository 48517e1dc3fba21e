"""What a process declares of its schedules, and what becomes of it where several say different things."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from threading import Event, Thread
from typing import Any

import msgspec
import pytest

from taskbridge import Bridge, Settings, cron, every
from taskbridge.config import ScheduleSettings
from taskbridge.errors import ConfigError, StoreUnavailable
from taskbridge.policies.ticks import Crontab, Interval
from taskbridge.routing import Rule, Table
from taskbridge.routing.table import encode
from taskbridge.schedules.declared import LEASE_MS, Declarer, declarer_of, plans_of
from taskbridge.schedules.plan import Plan, plan_of
from taskbridge.store import Store
from taskbridge.store.schedules import ScheduleState
from taskbridge.testing import FakeClock
from tests.servers import until

from ..conftest import BridgeClock


def plans(bridge: Bridge) -> dict[str, Plan]:
    return {
        name: msgspec.json.decode(raw, type=Plan) for name, raw in plans_of(bridge.definitions, bridge.sender).items()
    }


def states(store: Store) -> dict[str, ScheduleState]:
    return {state.name: state for state in store.schedules.all()}


@pytest.fixture
def release(bridge: Bridge, clock: BridgeClock) -> Callable[..., Declarer]:
    """A process of some release, with these schedules of the task ``app.f``, on the store of the test's bridge."""

    def started(*schedules: Any, settings: dict[str, ScheduleSettings] | None = None, task: str = "app.f") -> Declarer:
        made = Bridge(Settings(backend="memory", schedules=settings or {}))
        made.clock = clock
        made.__dict__["store"] = bridge.store
        clock.advance(0.001)

        @made.task(name=task, schedule=list(schedules))
        def f(n: int = 0) -> None: ...

        declarer = declarer_of(made.definitions, made.sender)
        declarer()
        return declarer

    return started


def test_plan_is_the_same_whatever_the_routes_are(bridge: Bridge, clock: BridgeClock):
    """Two processes that have read other versions of them declare one schedule; a tick is routed when it is fired."""
    bridge.task(name="app.f", tags=["nightly"], schedule=every(minutes=1))(lambda n=1: None)
    before = plans(bridge)
    rule = Rule(id="r1", to="memory", task="*", share=50, key="{n}")
    bridge.store.routes.write(0, encode(Table(rules=(rule,))), who="me", note="")
    clock.advance(1)

    assert before == plans(bridge)
    assert ("nightly",) == before["app.f"].sent.tags


def test_plan_has_what_the_task_asks_for(bridge: Bridge):
    """Queue, priority, arguments, expiry, delay, uniqueness: as a call of it, but for id and instants."""

    @bridge.task(
        name="app.pay",
        queue="money",
        priority=9,
        expires=60,
        delay=2,
        unique="until_done",
        timeout=5,
        schedule=cron("0 6 * * *", kwargs={"amount": Decimal("1.50")}, jitter=3, missed="all", overlap="skip"),
    )
    def pay(amount: Decimal, kind: str = "all") -> None: ...

    (plan,) = plans(bridge).values()

    sent = plan.sent
    assert ("", "app.pay", "money", 9, b"[]", b'{"amount":"1.50"}', 0, 0, 0) == (
        sent.id,
        sent.task,
        sent.queue,
        sent.priority,
        bytes(sent.args),
        bytes(sent.kwargs),
        sent.enqueued_at_ms,
        sent.due_at_ms,
        sent.expires_at_ms,
    )
    assert (2_000, 60_000, 3_000, "all", "skip", "code", False) == (
        plan.delay_ms,
        plan.expires_ms,
        plan.jitter_ms,
        plan.missed,
        plan.overlap,
        plan.origin,
        plan.foreign,
    )
    assert [("until_done", "call:app.pay:")] == [(one.until, one.key[:13]) for one in plan.same]
    assert plans(bridge) == plans(bridge)


def test_plan_of_the_settings_is_that_of_code(clock: BridgeClock):
    """Where the task is known, its options hold and its signature checks the call; values come as annotated."""
    entry = ScheduleSettings(
        task="app.pay", every="5m", kwargs={"amount": "1.50"}, start=datetime(2026, 3, 1, tzinfo=UTC)
    )
    bridge = Bridge(Settings(backend="memory", schedules={"payday": entry}))
    bridge.clock = clock

    @bridge.task(name="app.pay", queue="money", priority=9)
    def pay(amount: Decimal) -> None: ...

    (plan,) = plans(bridge).values()

    assert ("money", 9, b"[]", b'{"amount":"1.50"}') == (
        plan.sent.queue,
        plan.sent.priority,
        bytes(plan.sent.args),
        bytes(plan.sent.kwargs),
    )
    assert (Interval(300_000, 1_772_323_200_000), "file", False) == (plan.timing, plan.origin, plan.foreign)


def test_task_that_nobody_here_has_needs_a_queue(clock: BridgeClock):
    """With one it is sent as it is, and its record is forgotten; without, it is left to who has the task."""
    entries = {
        "legacy": ScheduleSettings(task="legacy.add", cron="0 6 * * *", tz="Europe/Warsaw", queue="old", args=[1, 2]),
        "theirs": ScheduleSettings(task="other.task", cron="0 6 * * *"),
    }
    bridge = Bridge(Settings(backend="memory", schedules=entries))
    bridge.clock = clock

    found = plans(bridge)

    assert ["legacy"] == list(found)
    assert ("old", b"[1,2]", True) == (
        found["legacy"].sent.queue,
        bytes(found["legacy"].sent.args),
        found["legacy"].foreign,
    )
    assert Crontab("0 6 * * *", "Europe/Warsaw") == found["legacy"].timing


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"every": "5m", "args": ["seven"]}, "schedules.bad: .*argument"),
        ({"every": "5m"}, "schedules.bad: missing a required argument"),
        ({"every": "5m", "args": [1], "missed": "never"}, "schedules.bad: missed: expected skip, last or all"),
        ({"every": "soon", "args": [1]}, "schedules.bad: every: expected seconds"),
        ({"every": -5, "args": [1]}, "schedules.bad: every: expected a second or more"),
        ({"cron": "0 0 30 2 *", "args": [1]}, "schedules.bad: cron: .*never fires"),
        ({"cron": "0 0 * * *", "tz": "Mars/Base", "args": [1]}, "schedules.bad: tz: expected a zone"),
        ({"every": "5m", "start": datetime(2026, 3, 1), "args": [1]}, "start: expected an aware"),  # noqa: DTZ001
        ({"every": "soon", "task": "of.others"}, "schedules.bad: every: expected seconds"),
        ({"every": "5m", "task": "legacy", "queue": "q", "overlap": "skip"}, "overlap: skip needs a task of a worker"),
    ],
)
def test_schedule_of_the_settings_that_cannot_be_is_refused(clock: BridgeClock, entry: dict[str, Any], why: str):
    """Before a worker serves, and by ``check``; it says which one."""
    bridge = Bridge(Settings(backend="memory", schedules={"bad": ScheduleSettings(**({"task": "app.f"} | entry))}))
    bridge.clock = clock

    @bridge.task(name="app.f")
    def f(n: int) -> None: ...

    with pytest.raises(ConfigError, match=why):
        plans_of(bridge.definitions, bridge.sender)


def test_two_schedules_of_one_name_are_refused(bridge: Bridge):
    """Of two tasks, or of code and settings."""

    @bridge.task(name="app.f", schedule=every(minutes=5, name="same"))
    def f() -> None: ...

    @bridge.task(name="app.g", schedule=every(minutes=5, name="same"))
    def g() -> None: ...

    with pytest.raises(ConfigError, match="two schedules are called 'same'"):
        plans_of(bridge.definitions, bridge.sender)


def test_declared_again_it_keeps_its_tick(release: Callable[..., Declarer], bridge: Bridge, clock: FakeClock):
    """While it is due, too: restarts and reloads lose no tick."""
    declarer = release(every(minutes=5))
    (before,) = states(bridge.store).values()
    clock.advance(400)
    declarer()
    release(every(minutes=5))

    (after,) = states(bridge.store).values()
    assert (before.tick_ms, before.version) == (after.tick_ms, after.version)
    assert after.lapses_ms == clock.now_ms() + LEASE_MS


def test_last_started_release_counts(release: Callable[..., Declarer], bridge: Bridge, clock: FakeClock):
    """Two side by side do not take turns; when the newer one is gone for a lease the older one's word holds again."""
    old = release(every(minutes=5))
    new = release(every(minutes=7))
    timings = []
    for _ in range(5):
        clock.advance(10)
        old()
        new()
        timings.append(plan_of(states(bridge.store)["app.f"]).timing)
    clock.advance(LEASE_MS / 1000 + 0.001)
    old()

    assert {Interval(420_000)} == set(timings)
    assert Interval(300_000) == plan_of(states(bridge.store)["app.f"]).timing


def test_schedule_taken_out_of_the_code_ends(release: Callable[..., Declarer], bridge: Bridge, clock: FakeClock):
    """As soon as a newer release has the task without it, and for as long; it comes back with a release that has it."""
    old = release(every(minutes=5), every(hours=1, name="hourly"))
    new = release(every(minutes=5))
    for _ in range(20):
        clock.advance(10)
        old()
        new()

    assert [(False, True), (True, False)] == [
        (plan_of(states(bridge.store)[name]).ended, bool(states(bridge.store)[name].tick_ms))
        for name in ("app.f", "hourly")
    ]
    release(every(minutes=5), every(hours=1, name="hourly"))
    assert states(bridge.store)["hourly"].tick_ms


def test_schedule_of_another_service_is_left_alone(release: Callable[..., Declarer], bridge: Bridge, clock: FakeClock):
    """Who does not have the task says nothing of its schedules."""
    release(every(minutes=5))
    other = release(every(minutes=9), task="billing.f")
    clock.advance(1_000)
    other()

    assert {"app.f": False, "billing.f": False} == {
        name: plan_of(state).ended for name, state in states(bridge.store).items()
    }


def test_schedule_taken_out_of_the_file_ends(release: Callable[..., Declarer], bridge: Bridge, clock: FakeClock):
    """When the last process whose file has it is gone for a lease; not before, for others may have no file."""
    entry = {"payday": ScheduleSettings(task="app.f", every="5m")}
    release(settings=entry)
    without = release()
    assert not plan_of(states(bridge.store)["payday"]).ended
    clock.advance(LEASE_MS / 1000 + 0.001)
    without()
    assert plan_of(states(bridge.store)["payday"]).ended

    release(settings=entry)
    without()
    assert not plan_of(states(bridge.store)["payday"]).ended


def test_what_was_set_holds_over_declarations(release: Callable[..., Declarer], bridge: Bridge, clock: FakeClock):
    """Its times are those that were set, whatever code says next."""
    release(every(minutes=5))
    (state,) = states(bridge.store).values()
    text = msgspec.json.encode({"timing": {"type": "cron", "expression": "0 6 * * *", "tz": "UTC"}})
    bridge.store.schedules.change("app.f", state.version, changes=text, paused=False, tick_ms=123_000)
    clock.advance(10)

    release(every(minutes=7))

    (state,) = states(bridge.store).values()
    assert (Interval(420_000), 123_000) == (plan_of(state).timing, state.tick_ms)


def test_plan_of_a_newer_release_is_left_alone(
    release: Callable[..., Declarer], bridge: Bridge, caplog: pytest.LogCaptureFixture
):
    """What cannot be read is not taken back; the others are declared."""
    declarer = release(every(minutes=5))
    (state,) = states(bridge.store).values()
    bridge.store.schedules.change("app.f", state.version, changes=b"of tomorrow", paused=False, tick_ms=5)
    release(every(minutes=9), task="billing.f")
    declarer()

    assert ["app.f", "billing.f"] == list(states(bridge.store))
    assert "cannot be read here" in caplog.text


def test_declaring_outlives_an_absent_store(bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """It is tried again in its time."""
    away = [StoreUnavailable("away")] * 2
    every_schedule = bridge.store.schedules.all

    def flaky() -> list[ScheduleState]:
        if away:
            raise away.pop()
        return every_schedule()

    @bridge.task(name="app.f", schedule=every(minutes=5))
    def f() -> None: ...

    monkeypatch.setattr(bridge.store.schedules, "all", flaky)
    monkeypatch.setattr("taskbridge.schedules.declared.EVERY_S", 0.005)
    declarer, stopping = declarer_of(bridge.definitions, bridge.sender), Event()
    thread = Thread(target=declarer.keep_on, args=(stopping,))
    thread.start()
    until(lambda: not away and every_schedule(), 20, "it is declared")
    stopping.set()
    thread.join(20)

    assert not thread.is_alive()
