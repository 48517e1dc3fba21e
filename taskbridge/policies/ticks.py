"""The instants at which a schedule ticks: every so long, or as a cron expression says. Pure: the same everywhere.

Instants are unix milliseconds. A tick is a matter of the schedule alone, so all relays agree on it without a word.
``docs/schedules.md`` has what becomes of a cron where clocks are changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import islice, takewhile
from typing import Any

import msgspec

from ..errors import ConfigError, nearest

#: Shorter than this is a stream of messages and no schedule: 1 s.
SHORTEST_MS = 1_000

#: A longer one never ticks, like a cron that does not match for so long: 50 years.
LONGEST_MS = 50 * 366 * 86_400_000

#: Where the search for a last tick begins; it goes on over spans that grow by GROWTH.
FIRST_SPAN_MS, GROWTH = 3_600_000, 24

#: More ticks than this are not counted one by one.
MOST_COUNTED = 10_000

#: From when a cron expression is looked at for its first tick, when it is declared.
REFERENCE_MS = 946_684_800_000

NO_ZONES = "this machine has no database of time zones: install tzdata (pip install tzdata, or the system's package)"


class Interval(msgspec.Struct, frozen=True, tag="every"):
    """Every ``every_ms`` of real time, counted from ``start_ms``; there is no tick before that."""

    every_ms: int
    start_ms: int = 0

    def __post_init__(self) -> None:
        if self.every_ms < SHORTEST_MS:
            raise ConfigError(f"every: expected a second or more between two ticks, got {self.every_ms / 1000:g} s")
        if self.every_ms > LONGEST_MS:
            raise ConfigError(f"every: expected 50 years at most between two ticks, got {self.every_ms / 1000:g} s")

    def after(self, ms: int) -> int | None:
        """Return the first tick after this instant."""
        if ms < self.start_ms:
            return self.start_ms
        return ms - (ms - self.start_ms) % self.every_ms + self.every_ms

    def last(self, since_ms: int, until_ms: int) -> int:
        """Return the last tick up to ``until_ms``; ``since_ms`` is one."""
        return until_ms - (until_ms - since_ms) % self.every_ms

    def count(self, since_ms: int, until_ms: int) -> int:
        """Return how many ticks come after ``since_ms``, which is one, up to ``until_ms``."""
        return (until_ms - since_ms) // self.every_ms

    def __str__(self) -> str:
        return f"every {self.every_ms / 1000:g} s"


class Crontab(msgspec.Struct, frozen=True, tag="cron"):
    """When a cron expression of five fields matches the wall clock of a zone."""

    expression: str
    tz: str = "UTC"

    def __post_init__(self) -> None:
        expression: object = self.expression
        if not isinstance(expression, str) or len(expression.split()) != 5:
            raise ConfigError(
                f"cron: expected five fields (minute hour day month weekday) such as '0 6 * * 1-5', "
                f"got {self.expression!r}"
            )
        zone: object = self.tz
        zone_of(zone if isinstance(zone, str) else repr(zone))
        if self.after(REFERENCE_MS) is None:
            raise ConfigError(f"cron: {self.expression!r} never fires")

    def after(self, ms: int) -> int | None:
        """Return the first tick after this instant; None when there is none for 50 years."""
        return next(self._after(ms), None)

    def last(self, since_ms: int, until_ms: int) -> int:
        """Return the last tick up to ``until_ms``; ``since_ms`` is one."""
        span_ms = FIRST_SPAN_MS
        while until_ms - span_ms > since_ms:
            found = self._between(until_ms - span_ms, until_ms)
            if found:
                return found[-1]
            span_ms *= GROWTH
        return [since_ms, *self._between(since_ms, until_ms)][-1]

    def count(self, since_ms: int, until_ms: int) -> int:
        """Return how many ticks come after ``since_ms``, which is one, up to ``until_ms``: MOST_COUNTED at most."""
        between = takewhile(lambda tick_ms: tick_ms <= until_ms, self._after(since_ms))
        return sum(1 for _ in islice(between, MOST_COUNTED))

    def __str__(self) -> str:
        return f"{self.expression} {self.tz}"

    def _between(self, after_ms: int, until_ms: int) -> list[int]:
        return list(takewhile(lambda tick_ms: tick_ms <= until_ms, self._after(after_ms)))

    def _after(self, ms: int) -> Iterator[int]:
        """The ticks after an instant; none twice, though several times of the wall clock may be one instant."""
        last_ms = ms
        for tick_ms in self._near(ms):
            if tick_ms > last_ms:
                yield tick_ms
                last_ms = tick_ms

    def _near(self, ms: int) -> Iterator[int]:
        """The ticks from an instant on, in order; a few may be before it, and some come twice."""
        zone = zone_of(self.tz)
        local = datetime.fromtimestamp(ms / 1000, zone)
        if _hourly(self.expression):  # goes on in real time, whatever the clock says
            yield from (_ms(at) for at in _walls(self.expression, local))
        else:
            yield from (_ms(_instant(wall, zone)) for wall in _walls(self.expression, local.replace(tzinfo=None)))


Timing = Interval | Crontab


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name in the IANA database.

    Raises:
        ConfigError: there is none of that name, or no database on this machine.
    """
    if name == "UTC":  # known without a database
        return UTC
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        known = zoneinfo.available_timezones()
    if not known:
        raise ConfigError(f"tz: {name!r} cannot be looked up: {NO_ZONES}")
    meant = nearest(str(name), known)
    hint = meant if meant.startswith("; did") else ""  # there are six hundred
    raise ConfigError(f"tz: expected a zone such as 'Europe/Warsaw', got {name!r}{hint}")


def _instant(wall: datetime, zone: tzinfo) -> datetime:
    """The first instant at which a clock on the wall shows this; where it is put forward over it, the first after."""
    at = wall.replace(tzinfo=zone)
    if at.astimezone(UTC).astimezone(zone) != at:  # no clock shows this
        wall = wall.replace(second=0)
        while (at := wall.replace(tzinfo=zone)).astimezone(UTC).astimezone(zone) != at:
            wall += timedelta(minutes=1)
    return at


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000


def _walls(expression: str, after: datetime) -> Any:
    """The matches of an expression after an instant, as its own clock shows them."""
    from cronsim import CronSim, CronSimError

    try:
        return CronSim(expression, after)
    except CronSimError as error:
        hint = ", or a day that none of its months has: it never fires" if "day-of-month" in str(error) else ""
        raise ConfigError(f"cron: {expression!r} cannot be read: {error}{hint}".replace("Bad", "bad")) from None


@lru_cache(maxsize=256)
def _hourly(expression: str) -> bool:
    """Whether it matches in every hour of a day."""
    return len(_walls(expression, datetime.fromtimestamp(0, UTC)).hours) == 24
