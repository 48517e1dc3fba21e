"""What ``every`` and ``cron`` accept, and what a task accepts of them; bad input is refused when it is declared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskbridge import Bridge, cron, every
from taskbridge.errors import ConfigError
from taskbridge.policies.schedule import Schedule, named
from taskbridge.policies.ticks import Crontab, Interval


def test_every_adds_up():
    """Seconds, minutes, hours and days are one span; fractions are fine."""
    start = datetime(2026, 3, 1, tzinfo=UTC)

    assert Interval(93_784_000) == every(days=1, hours=2, minutes=3, seconds=4).timing
    assert Interval(1_500) == every(seconds=1.5).timing
    assert Interval(60_000, 1_772_323_200_000) == every(minutes=1, start=start).timing


def test_defaults_are_said():
    """UTC, the last of what was missed, overlap allowed, no jitter, no arguments."""
    schedule = cron("0 6 * * *")

    assert (Crontab("0 6 * * *", "UTC"), "last", "allow", 0, (), {}, "") == (
        schedule.timing,
        schedule.missed,
        schedule.overlap,
        schedule.jitter_ms,
        schedule.args,
        dict(schedule.kwargs),
        schedule.name,
    )


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (every, "expected a span above 0"),
        (lambda: every(minutes=0), "expected a span above 0"),
        (lambda: every(minutes=-5), "expected a span above 0"),
        (lambda: every(seconds=0.5), "a second or more"),
        (lambda: every(days=1e6), "50 years at most"),
        (lambda: every(days=1e300), "50 years at most"),
        (lambda: every(seconds="5"), "seconds: expected a number"),
        (lambda: every(minutes=True), "minutes: expected a number"),
        (lambda: every(hours=float("nan")), "hours: expected"),
        (lambda: every(minutes=5, start=datetime(2026, 3, 1)), "start: expected an aware datetime"),  # noqa: DTZ001
        (lambda: every(minutes=5, start="2026-03-01"), "start: expected an aware datetime"),
        (lambda: every(minutes=5, missed="never"), "missed: expected skip, last or all, got 'never'"),
        (lambda: every(minutes=5, overlap="wait"), "overlap: expected allow or skip, got 'wait'"),
        (lambda: cron("0 6 * * *", missed=""), "missed: expected"),
        (lambda: every(minutes=5, jitter=-1), "jitter: expected a span of 0 or more"),
        (lambda: every(minutes=5, jitter="1m"), "jitter: expected seconds"),
        (lambda: every(minutes=5, name="two words"), "name: expected a schedule's name"),
        (lambda: every(minutes=5, name="x" * 121), "name: expected a schedule's name"),
        (lambda: every(minutes=5, name=7), "name: expected a schedule's name"),
        (lambda: every(minutes=5, args="abc"), "args: expected a list"),
        (lambda: every(minutes=5, kwargs=[1]), "kwargs: expected a mapping"),
        (lambda: cron("0 0 30 2 *"), "never fires"),
        (lambda: cron("0 0 * * *", tz="Nowhere/At_All"), "tz: expected a zone"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], why: str):
    """At once, with what was expected."""
    with pytest.raises(ConfigError, match=why):
        make()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"schedule": every(minutes=5)}, r"cannot be called so: missing a required argument: 'user_id'.*args="),
        ({"schedule": every(minutes=5, args=(1, 2, 3))}, "too many positional arguments"),
        ({"schedule": every(minutes=5, kwargs={"user_id": "seven"})}, "cannot be called so"),
        ({"schedule": every(minutes=5, args=[object()])}, "cannot be called so"),
        ({"schedule": "0 6 * * *"}, "schedule: expected every"),
        ({"schedule": 300}, "schedule: expected every"),
        ({"schedule": timedelta(minutes=5)}, "schedule: expected every"),
        ({"schedule": [every(minutes=5, args=[1], name="a"), every(minutes=6, args=[1], name="a")]}, "two schedules"),
        ({"schedule": every(minutes=5, args=[1]), "debounce": 5}, "no debounce beside it"),
        ({"schedule": every(minutes=5, args=[1]), "name": "x" * 130}, "name: expected a schedule's name"),
    ],
)
def test_schedule_that_does_not_fit_its_task_is_refused(bridge: Bridge, options: dict[str, Any], why: str):
    """When the task is declared, not when it ticks."""

    def report(user_id: int, kind: str = "all") -> None: ...

    with pytest.raises(ConfigError, match=why):
        bridge.task(**options)(report)


def test_a_call_does_not_take_a_schedule(bridge: Bridge):
    """It belongs to the declaration."""

    @bridge.task
    def report() -> None: ...

    with pytest.raises(ConfigError, match="schedule belongs where the task is declared"):
        report.using(schedule=every(minutes=5))
    with pytest.raises(ConfigError, match="schedule belongs where the task is declared"):
        bridge.external("other", queue="q", schedule=every(minutes=5))


def test_schedules_have_names(bridge: Bridge):
    """The task's own, a number behind it for the next, or the one they are given."""

    @bridge.task(name="app.f", schedule=[every(minutes=5), cron("0 6 * * *"), every(hours=1, name="hourly")])
    def f() -> None: ...

    @bridge.task(name="app.g", schedule=every(minutes=5))
    def g() -> None: ...

    assert ["app.f", "app.f#2", "hourly"] == list(named(f.definition))
    assert ["app.g"] == list(named(g.definition))
    assert all(isinstance(one, Schedule) for one in named(f.definition).values())
