"""What a tick sends, and what becomes of ticks that were missed. Pure."""

from __future__ import annotations

import msgspec
import pytest

from taskbridge.errors import DecodeError
from taskbridge.message import encode
from taskbridge.policies.ticks import Crontab, Interval
from taskbridge.relay.loop import LEAD_MS, PATIENCE_S
from taskbridge.schedules.plan import LATE_MS, Changes, Plan, changed, in_force, next_tick, plan_of, tick_of
from taskbridge.store.schedules import ScheduleState
from taskbridge.testing import a_message
from taskbridge.testing.fakes import NOON_MS

MINUTE_MS = 60_000

SENT = a_message(id="", kwargs=msgspec.Raw(b'{"n":1}'), priority=8)


def a_plan(**fields: object) -> Plan:
    return Plan(**({"timing": Interval(MINUTE_MS), "message": msgspec.Raw(encode(SENT))} | fields))  # type: ignore[arg-type]


def a_state(plan: Plan, tick_ms: int = NOON_MS, late_ms: int = 0, **fields: object) -> ScheduleState:
    words = {"name": "nightly", "version": 7, "declared": msgspec.json.encode(plan), "tick_ms": tick_ms}
    return ScheduleState(**(words | {"now_ms": tick_ms + late_ms} | fields))  # type: ignore[arg-type]


def test_plan_comes_back_as_it_was():
    """With either timing; a word that this release does not know is left alone."""
    for timing in (Interval(MINUTE_MS, 5), Crontab("0 6 * * *", "Europe/Warsaw")):
        plan = a_plan(timing=timing, jitter_ms=5, missed="all")

        assert plan == plan_of(a_state(plan))

    newer = msgspec.json.encode(a_plan())[:-1] + b',"of_tomorrow":1}'
    assert a_plan() == plan_of(a_state(a_plan(), declared=newer))


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b'{"timing":{"type":"moon"}}', b'{"timing":{"type":"cron","expression":"x"}}']
)
def test_plan_that_cannot_be_read_is_an_error_with_its_name(text: bytes):
    """A newer release wrote it, or it needs what this machine has not."""
    with pytest.raises(DecodeError, match="the schedule 'nightly' cannot be read here"):
        plan_of(a_state(a_plan(), declared=text))


def test_tick_sends_what_enqueue_would():
    """The same id whoever fires it; due and expiring from the tick on, though it is fired late."""
    plan = a_plan(expires_ms=5_000, delay_ms=1_000)

    one, other = (tick_of(a_state(plan, late_ms=late_ms), plan) for late_ms in (20, 900))

    assert one.message
    assert other.message
    assert f"nightly@{NOON_MS}" == one.message.id == other.message.id
    assert (NOON_MS + 20, NOON_MS + 1_000, NOON_MS + 6_000) == (
        one.message.enqueued_at_ms,
        one.message.due_at_ms,
        one.message.expires_at_ms,
    )
    assert SENT == one.message.copy(id="", enqueued_at_ms=0, due_at_ms=0, expires_at_ms=0)
    assert [980, 100] == [one.wait_ms, other.wait_ms]
    assert (7, NOON_MS, NOON_MS + MINUTE_MS, 0) == (one.version, one.tick_ms, one.next_ms, one.missed)


def test_jitter_is_the_same_for_the_same_tick():
    """Spread over its span by name and tick; none by default."""
    plan = a_plan(jitter_ms=30_000)
    waits = [tick_of(a_state(plan, NOON_MS + n * MINUTE_MS), plan).wait_ms for n in range(200)]
    again = [tick_of(a_state(plan, NOON_MS + n * MINUTE_MS), plan).wait_ms for n in range(200)]

    assert waits == again
    assert 0 <= min(waits) < 3_000
    assert 27_000 < max(waits) <= 30_000
    assert 0 == tick_of(a_state(a_plan()), a_plan()).wait_ms


@pytest.mark.parametrize("missed", ["skip", "last", "all"])
@pytest.mark.parametrize("late_ms", [0, LATE_MS])
def test_tick_that_is_hardly_late_is_fired(missed: str, late_ms: int):
    """In every policy: a change of leader misses nothing."""
    plan = a_plan(missed=missed)

    tick = tick_of(a_state(plan, late_ms=late_ms), plan)

    assert tick.message
    assert (NOON_MS, NOON_MS + MINUTE_MS, 0) == (tick.tick_ms, tick.next_ms, tick.missed)


def test_a_change_of_leader_is_not_late():
    """A leader that dies is followed before its ticks are missed."""
    assert LEAD_MS + 2 * PATIENCE_S * 1000 < LATE_MS


@pytest.mark.parametrize(
    ("missed", "fired", "passed_over"),
    [("skip", None, 6), ("last", NOON_MS + 5 * MINUTE_MS, 5), ("all", NOON_MS, 0)],
)
@pytest.mark.parametrize("timing", [Interval(MINUTE_MS), Crontab("* * * * *")])
def test_missed_ticks_by_policy(missed: str, fired: int | None, passed_over: int, timing: Interval | Crontab):
    """Five minutes and more without a relay: none of the six, the last one, or the first of all."""
    plan = a_plan(missed=missed, timing=timing)

    tick = tick_of(a_state(plan, late_ms=5 * MINUTE_MS + 30_000), plan)

    last_ms = NOON_MS + (0 if missed == "all" else 5 * MINUTE_MS)
    assert fired == (tick.message.due_at_ms if tick.message else None)
    assert (last_ms, last_ms + MINUTE_MS, passed_over) == (tick.tick_ms, tick.next_ms, tick.missed)


def test_operators_changes_go_before_the_plan():
    """Word by word; what is not set is as declared."""
    plan = a_plan(missed="all", overlap="skip")
    changes = Changes(timing=Crontab("0 6 * * *"), jitter_ms=0, missed="skip")

    held = in_force(a_state(plan, changes=msgspec.json.encode(changes)))

    assert (Crontab("0 6 * * *"), "skip", "skip", 0) == (held.timing, held.missed, held.overlap, held.jitter_ms)
    assert plan == changed(plan, Changes())


def test_next_tick_is_kept_while_the_times_stay():
    """Another message, another policy: the tick is kept; other times count from now, and never behind the last one."""
    plan, other = a_plan(), a_plan(timing=Interval(7_000))
    state = a_state(plan, late_ms=90_000, last_ms=NOON_MS - MINUTE_MS)

    assert next_tick(state, a_plan(missed="all"), state.now_ms) is None
    assert other.timing.after(state.now_ms) == next_tick(state, other, state.now_ms)
    ahead = a_state(plan, last_ms=NOON_MS + 10**7)
    assert other.timing.after(NOON_MS + 10**7) == next_tick(ahead, other, NOON_MS)
    assert plan.timing.after(NOON_MS) == next_tick(None, plan, NOON_MS)
    unreadable = a_state(plan, declared=b"newer")
    assert plan.timing.after(unreadable.now_ms) == next_tick(unreadable, plan, unreadable.now_ms)


def test_schedule_that_comes_back_goes_on_where_it_was():
    """What came meanwhile was missed; what was never fired begins now. One that ends has no tick."""
    plan = a_plan()
    ended = msgspec.json.encode(a_plan(ended=True))

    back = a_state(plan, 0, declared=ended, last_ms=NOON_MS, now_ms=NOON_MS + 10**8)
    never = a_state(plan, 0, declared=ended, now_ms=NOON_MS)

    assert NOON_MS + MINUTE_MS == next_tick(back, plan, back.now_ms)
    assert plan.timing.after(NOON_MS) == next_tick(never, plan, NOON_MS)
    assert 0 == next_tick(a_state(plan), a_plan(ended=True), NOON_MS)
