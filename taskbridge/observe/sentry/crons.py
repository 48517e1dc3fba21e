"""Crons: each tick of a schedule is a check-in of a monitor of Sentry's: in progress, then ok or error.

Told where ``sentry_crons`` says so, for Sentry makes a monitor of each schedule. All that happens to one tick has one
check-in id, made of the message's, so that attempts in several processes and a supervisor tell of the same one.
"""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import msgspec
from sentry_sdk.crons import MonitorStatus, capture_checkin

from ...bridge import Bridge
from ...events import Dropped, Event, Failed, Started, Succeeded
from ...policies.schedule import named
from ...policies.ticks import Crontab, Timing
from ...schedules.declared import timing_of
from .client import NAME

if TYPE_CHECKING:
    from sentry_sdk.types import MonitorConfig

log = logging.getLogger("taskbridge")

#: A monitor's slug: lower case, digits, - and _, up to 50. Source: Sentry's documentation of Crons.
LONGEST_SLUG = 50

#: What our cron knows beyond the five plain fields: last day, weekday nearest to, n-th weekday. Sentry may not.
OURS_ALONE = re.compile(r"(?:^|[\s,])(?:LW?|\d+[LW])(?=$|[\s,])|#", re.IGNORECASE)

#: Of so many names it is known whether they are schedules; whoever names messages may write theirs like ticks.
MOST_NAMES = 1_000

UNITS: tuple[tuple[Literal["day", "hour", "minute"], int], ...] = (
    ("day", 86_400_000),
    ("hour", 3_600_000),
    ("minute", 60_000),
)


class Monitor(msgspec.Struct, frozen=True):
    """One schedule there; without a ``config`` it is one that was made by hand."""

    slug: str
    config: MonitorConfig | None = None


class Crons:
    """The check-ins of one bridge.

    Args:
        bridge: whose schedules.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._known_monitor = lru_cache(maxsize=MOST_NAMES)(self._monitor_of)
        if bridge.observing.handed is None:
            bridge.observing.hand_over.setdefault(NAME, {})["schedules"] = self._names()

    def started(self, event: Started) -> None:
        """A tick runs."""
        self._check_in(event, MonitorStatus.IN_PROGRESS)

    def succeeded(self, event: Succeeded) -> None:
        """It has ended well."""
        self._check_in(event, MonitorStatus.OK, event.ran_ms)

    def failed(self, event: Failed) -> None:
        """It has failed for good."""
        self._check_in(event, MonitorStatus.ERROR, event.ran_ms)

    def dropped(self, event: Dropped) -> None:
        """The task has ended it; one that has expired never ran, and Sentry misses it by itself."""
        if event.how == "dropped":
            self._check_in(event, MonitorStatus.OK)

    def _check_in(self, event: Event, status: str, ran_ms: float | None = None) -> None:
        monitor = self._monitor(event)
        if monitor is not None:
            capture_checkin(
                monitor_slug=monitor.slug,
                check_in_id=uuid.uuid5(uuid.NAMESPACE_OID, event.id).hex,
                status=status,
                duration=None if ran_ms is None else ran_ms / 1000,
                monitor_config=monitor.config if status == MonitorStatus.IN_PROGRESS else None,
            )

    def _monitor(self, event: Event) -> Monitor | None:
        """Return the monitor of the schedule whose tick this is; None for what is no tick, or cannot have one."""
        name, _, tick_ms = event.id.rpartition("@")
        if not name or not tick_ms.isdecimal():
            return None
        return self._known_monitor(name, event.task)

    def _monitor_of(self, name: str, task: str) -> Monitor | None:
        if self._bridge.observing.handed is not None:
            return (
                Monitor(slug_of(name))
                if name in self._bridge.observing.handed.get(NAME, {}).get("schedules", ())
                else None
            )
        timing = self._timings(task).get(name)
        return monitor_of(name, timing) if timing is not None else None

    def _timings(self, task: str) -> dict[str, Timing]:
        """Return when the schedules of a task tick, as they are declared."""
        of_file = self._bridge.settings.schedules.items()
        found = {name: timing_of(one) for name, one in of_file if one.task == task}
        definition = self._bridge.definitions.get(task)
        return found | ({name: one.timing for name, one in named(definition).items()} if definition else {})

    def _names(self) -> list[str]:
        tasks = {*self._bridge.definitions, *(one.task for one in self._bridge.settings.schedules.values())}
        return sorted({name for task in tasks for name in self._timings(task)})


def monitor_of(name: str, timing: Timing) -> Monitor | None:
    """Return the monitor of a schedule; None for one that ticks more often than Sentry looks."""
    slug = slug_of(name)
    if isinstance(timing, Crontab):
        if OURS_ALONE.search(timing.expression):
            log.warning(
                "Sentry may not read %r of the schedule %s: make its monitor %s by hand", str(timing), name, slug
            )
            return Monitor(slug)
        return Monitor(slug, {"schedule": {"type": "crontab", "value": timing.expression}, "timezone": timing.tz})
    for unit, unit_ms in UNITS:
        if timing.every_ms % unit_ms == 0:
            count = timing.every_ms // unit_ms
            return Monitor(slug, {"schedule": {"type": "interval", "value": count, "unit": unit}, "timezone": "UTC"})
    log.warning("Sentry's Crons know whole minutes only: the schedule %s (%s) is not told of there", name, timing)
    return None


def slug_of(name: str) -> str:
    """Return a schedule's name as Sentry can have it; one that is too long keeps what tells it from others."""
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "schedule"
    if len(slug) <= LONGEST_SLUG:
        return slug
    return f"{slug[: LONGEST_SLUG - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
