"""Crons: each tick of a schedule is a check-in, where the settings ask for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from taskbridge import Backoff, Bridge, Drop, Settings, cron, every
from taskbridge.config import ScheduleSettings, load
from taskbridge.errors import ConfigError
from taskbridge.events import Dropped, Failed, Started
from taskbridge.observe.sentry.crons import MOST_NAMES, Crons, monitor_of, slug_of
from taskbridge.policies.ticks import Crontab, Interval, Timing
from taskbridge.testing import a_message
from taskbridge.testing.worker import Worker

from ...conftest import BridgeClock
from .conftest import Init, Kept

Observed = Callable[..., Bridge]


@pytest.fixture
def observed(clock: BridgeClock, sentry: Kept) -> Observed:
    """Makes a bridge whose ticks are told of."""

    def make(**settings: Any) -> Bridge:
        words = {"backend": "memory", "observers": ("sentry",), "sentry_crons": True, **settings}
        bridge = Bridge(Settings(**words))
        bridge.clock = clock
        return bridge

    return make


def ticked(bridge: Bridge, times: int = 1) -> None:
    """Run what is due after each of so many times five minutes."""
    worker = Worker(bridge)
    worker.run_pending()
    for _ in range(times):
        bridge.clock.advance(300)  # type: ignore[attr-defined]
        worker.run_pending()


def told(kept: Kept) -> list[tuple[str, str]]:
    return [(one["monitor_slug"], one["status"]) for one in kept.check_ins]


def test_a_tick_is_in_progress_and_then_ok(observed: Observed, sentry: Kept):
    """One check-in with one id, and the schedule with the first word of it."""
    bridge = observed()
    bridge.task(name="bank.digest", schedule=every(minutes=5))(lambda: None)

    ticked(bridge, times=2)

    first, second = sentry.check_ins[:2]
    assert [("bank-digest", "in_progress"), ("bank-digest", "ok")] * 2 == told(sentry)
    assert {"schedule": {"type": "interval", "value": 5, "unit": "minute"}, "timezone": "UTC"} == first[
        "monitor_config"
    ]
    assert "monitor_config" not in second
    assert 2 == len({one["check_in_id"] for one in sentry.check_ins})
    assert first["check_in_id"] == second["check_in_id"]


def test_a_tick_that_fails_for_good_is_an_error(observed: Observed, sentry: Kept):
    """Its attempts are one check-in: it is in progress until the last."""
    bridge = observed()

    @bridge.task(name="bank.digest", schedule=every(minutes=5), retry=Backoff(max_retries=1, base=0, cap=0))
    def digest() -> None:
        raise ValueError("x")

    ticked(bridge)

    assert ["in_progress", "in_progress", "error"] == [status for _, status in told(sentry)]
    assert 1 == len({one["check_in_id"] for one in sentry.check_ins})
    assert 1 == len(sentry.errors)


def test_a_tick_that_its_task_drops_is_ok(observed: Observed, sentry: Kept):
    """It has seen to it."""
    bridge = observed()

    @bridge.task(name="bank.digest", schedule=every(minutes=5))
    def digest() -> None:
        raise Drop("nothing to do on a holiday")

    ticked(bridge)

    assert ["in_progress", "ok"] == [status for _, status in told(sentry)]


def test_only_ticks_are_told_of(observed: Observed, sentry: Kept):
    """Not a call by hand, nor an id that only looks like a tick's, nor one that never ran."""
    bridge = observed()
    task = bridge.task(name="bank.digest", schedule=every(minutes=5))(lambda: None)
    task.enqueue()
    odd = ["other@1", "bank.digest@noon", "@1", "bank.digest@"]
    bridge.backend("memory").publish([a_message(id=id, task="bank.digest", queue="default") for id in odd])

    Worker(bridge).run_pending()
    bridge.events.emit(Dropped(id="bank.digest@300000", task="bank.digest", queue="default", how="expired"))

    assert [] == sentry.check_ins


def test_ids_that_only_look_like_ticks_do_not_pile_up(observed: Observed, sentry: Kept):
    """Native producers name their messages as they like."""
    crons = Crons(observed())

    for n in range(3 * MOST_NAMES):
        crons.started(Started(id=f"order-{n}@{n}", task="bank.book", queue="default"))

    assert [] == told(sentry)
    assert MOST_NAMES == crons._known_monitor.cache_info().currsize


def test_without_the_setting_no_tick_is_told_of(observed: Observed, sentry: Kept):
    """Sentry would make a monitor of each schedule, which the team may have to pay for."""
    bridge = observed(sentry_crons=False)
    bridge.task(name="bank.digest", schedule=every(minutes=5))(lambda: None)

    ticked(bridge)

    assert [] == sentry.check_ins


def test_a_schedule_of_the_settings_is_told_of_too(observed: Observed, sentry: Kept):
    """By its own name."""
    bridge = observed(schedules={"payday": ScheduleSettings(task="bank.pay", every="5m")})
    bridge.task(name="bank.pay")(lambda: None)

    ticked(bridge)

    assert [("payday", "in_progress"), ("payday", "ok")] == told(sentry)


def test_a_supervisor_tells_of_a_tick_that_it_has_ended(observed: Observed, sentry: Kept, init: Init):
    """It knows no task, and is told the names of schedules by its template; the check-in is the child's."""
    template = observed()
    template.task(name="bank.digest", schedule=every(minutes=5))(lambda: None)
    ticked(template)
    begun = sentry.check_ins[0]
    supervisor = observed()
    supervisor.observing.handed = template.observing.hand_over
    supervisor.observe()
    kept = init()
    tick_ms = round(datetime(2026, 1, 1, 12, 5, tzinfo=UTC).timestamp() * 1000)

    for id in (f"bank.digest@{tick_ms}", f"other@{tick_ms}"):
        supervisor.events.emit(Failed(id=id, task="bank.digest", queue="default", why="hard timeout"))

    (error,) = kept.check_ins
    assert ("error", begun["check_in_id"]) == (error["status"], error["check_in_id"])


@pytest.mark.parametrize(
    ("timing", "config"),
    [
        (
            Crontab("0 6 * * 1-5", "Europe/Warsaw"),
            {"schedule": {"type": "crontab", "value": "0 6 * * 1-5"}, "timezone": "Europe/Warsaw"},
        ),
        (Crontab("0 6 * JUL WED"), {"schedule": {"type": "crontab", "value": "0 6 * JUL WED"}, "timezone": "UTC"}),
        (Interval(7_200_000), {"schedule": {"type": "interval", "value": 2, "unit": "hour"}, "timezone": "UTC"}),
        (Interval(90 * 60_000), {"schedule": {"type": "interval", "value": 90, "unit": "minute"}, "timezone": "UTC"}),
        (Interval(86_400_000), {"schedule": {"type": "interval", "value": 1, "unit": "day"}, "timezone": "UTC"}),
        (Crontab("0 6 L * *"), None),
        (Crontab("0 6 * * 5L"), None),
        (Crontab("0 6 * * MON#2"), None),
        (Crontab("0 6 LW * *"), None),
    ],
    ids=str,
)
def test_a_schedule_is_a_monitor(timing: Timing, config: Any):
    """As Sentry writes it; what it may not read is left to a monitor that was made by hand."""
    monitor = monitor_of("digest", timing)

    assert monitor is not None
    assert ("digest", config) == (monitor.slug, monitor.config)


def test_a_schedule_of_seconds_is_none():
    """Sentry looks once a minute."""
    assert monitor_of("digest", Interval(90_000)) is None


def test_a_slug_is_one_that_sentry_takes():
    """Lower case, letters, digits, - and _, up to 50; long names that differ at their end do so in their slugs."""
    long = [slug_of(f"{'bank.accounts.' * 8}{end}") for end in ("a", "b")]

    assert "bank-tasks-morning_digest-2" == slug_of("bank.tasks.Morning_Digest#2")
    assert [50, 50] == [len(slug) for slug in long]
    assert 2 == len(set(long))
    assert "schedule" == slug_of("日程")


@pytest.mark.parametrize(("text", "on"), [("1", True), ("true", True), ("ON", True), ("0", False), ("no", False)])
def test_the_setting_is_read_from_the_environment(text: str, on: bool):
    """As the others are."""
    assert on is load({"TASKBRIDGE_SENTRY_CRONS": text}).sentry_crons


def test_a_setting_that_is_neither_is_refused():
    """With what was expected."""
    with pytest.raises(ConfigError, match="TASKBRIDGE_SENTRY_CRONS: expected 1 or 0, got 'maybe'"):
        load({"TASKBRIDGE_SENTRY_CRONS": "maybe"})
    with pytest.raises(ConfigError, match="sentry_crons: expected true or false, got 'yes'"):
        load({}, sentry_crons="yes")


def test_a_cron_ticks_by_its_zone(observed: Observed, sentry: Kept):
    """The zone goes along."""
    bridge = observed()
    bridge.task(name="morning", schedule=cron("*/5 * * * *", tz="Asia/Tokyo"))(lambda: None)

    ticked(bridge)

    config = sentry.check_ins[0]["monitor_config"]
    assert {"schedule": {"type": "crontab", "value": "*/5 * * * *"}, "timezone": "Asia/Tokyo"} == config
