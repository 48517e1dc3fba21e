"""``every`` and ``cron``: when a task is enqueued by itself, and what becomes of ticks that were missed or overlap.

Pure: what is declared here is written into the store by workers (``schedules``) and fired by the relay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, get_args

from ..clock import Span, milliseconds
from ..definition import Definition
from ..errors import ArgumentError, ConfigError
from .ticks import Crontab, Interval, Timing

Missed = Literal["skip", "last", "all"]
Overlap = Literal["allow", "skip"]

#: A name is part of a message's id, and of a key in the store.
LONGEST_NAME = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a task is enqueued by itself; made by ``every`` and ``cron``.

    Raises:
        ConfigError: a word nobody knows, a negative jitter, a name with blanks.
    """

    timing: Timing
    missed: Missed = "last"
    overlap: Overlap = "allow"
    jitter: Span = 0
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    name: str = ""

    def __post_init__(self) -> None:
        _expect(self.missed in get_args(Missed), "missed", "skip, last or all", self.missed)
        _expect(self.overlap in get_args(Overlap), "overlap", "allow or skip", self.overlap)
        _expect(milliseconds(self.jitter, "jitter") >= 0, "jitter", "a span of 0 or more", self.jitter)
        _expect(isinstance(self.args, list | tuple), "args", "a list of positional arguments", self.args)
        _expect(isinstance(self.kwargs, Mapping), "kwargs", "a mapping of keyword arguments", self.kwargs)
        if self.name != "":
            check_name(self.name)

    @property
    def jitter_ms(self) -> int:
        return milliseconds(self.jitter)

    def __repr__(self) -> str:
        return f"Schedule({self.timing})"


def every(
    *,
    seconds: float = 0,
    minutes: float = 0,
    hours: float = 0,
    days: float = 0,
    start: datetime | None = None,
    missed: Missed = "last",
    overlap: Overlap = "allow",
    jitter: Span = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    name: str = "",
) -> Schedule:
    """Tick every so long, in real time: ``@task(schedule=every(minutes=5))``.

    Ticks are counted from 1 January 1970 UTC, whenever a worker starts: ``every(minutes=5)`` ticks at :00, :05, :10.

    Args:
        seconds, minutes, hours, days: how long; together a second or more.
        start: the first tick, from which the others count; an aware datetime. Defaults to the epoch.
        missed: ticks that came while no relay could fire them (more than 10 s late): ``skip`` them, fire the ``last``
            one, or ``all``. Defaults to ``last``.
        overlap: while the message of the tick before has not come to its end: ``allow`` another, or ``skip`` the tick.
            Defaults to ``allow``.
        jitter: each message is due a random part of this later, the same for the same tick. Defaults to 0.
        args, kwargs: what the task is called with. Defaults to nothing.
        name: what the schedule is called at run time. Defaults to the task's name.

    Raises:
        ConfigError: less than a second, a naive ``start``, an unknown word.
    """
    every_ms = 0
    for unit, count, length in (
        ("seconds", seconds, 1),
        ("minutes", minutes, 60),
        ("hours", hours, 3_600),
        ("days", days, 86_400),
    ):
        _expect(type(count) in (int, float), unit, "a number", count)
        every_ms += milliseconds(count * length, unit)
    _expect(every_ms > 0, "every", "a span above 0, such as every(minutes=5)", f"{every_ms / 1000:g} s")
    timing = Interval(every_ms, instant_ms(start, "start") if start is not None else 0)
    return Schedule(
        timing=timing, missed=missed, overlap=overlap, jitter=jitter, args=args, kwargs=kwargs or {}, name=name
    )


def cron(
    expression: str,
    *,
    tz: str = "UTC",
    missed: Missed = "last",
    overlap: Overlap = "allow",
    jitter: Span = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    name: str = "",
) -> Schedule:
    """Tick when a clock on the wall says so: ``@task(schedule=cron("0 6 * * 1-5", tz="Europe/Warsaw"))``.

    Args:
        expression: minute, hour, day of month, month, day of week, as Debian's cron reads them; also ``L`` (last day),
            ``LW`` (last weekday), ``5L`` (last Friday), ``MON#2`` (second Monday).
        tz: whose clock, a name of the IANA database. Defaults to UTC.
        missed, overlap, jitter, args, kwargs, name: as in ``every``.

    Raises:
        ConfigError: an expression that cannot be read or never fires, an unknown zone, an unknown word.
    """
    timing = Crontab(expression, tz)
    return Schedule(
        timing=timing, missed=missed, overlap=overlap, jitter=jitter, args=args, kwargs=kwargs or {}, name=name
    )


def instant_ms(at: object, option: str) -> int:
    """Return an aware datetime in unix milliseconds.

    Raises:
        ConfigError: it is no datetime, or one without a zone.
    """
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise ConfigError(f"{option}: expected an aware datetime, such as datetime(2026, 3, 1, tzinfo=UTC), got {at!r}")
    return round(at.timestamp() * 1000)


def check_name(name: object) -> None:
    """Refuse what a schedule cannot be called.

    Raises:
        ConfigError: the name, and what was expected.
    """
    fits = isinstance(name, str) and len(name.split()) == 1 and name.isprintable()
    _expect(
        fits and len(str(name).encode()) <= LONGEST_NAME,
        "name",
        f"a schedule's name of up to {LONGEST_NAME} bytes without blanks",
        name,
    )


def named(definition: Definition) -> dict[str, Schedule]:
    """Return a task's schedules by their names: the task's own, ``task#2`` for a second one, unless they have another.

    Raises:
        ConfigError: the task cannot be called as one says, or two of them are called the same.
    """
    found: dict[str, Schedule] = {}
    for n, one in enumerate(definition.options.schedules):
        if not isinstance(one, Schedule):
            raise ConfigError(f"{definition.name}: schedule: expected every(...) or cron(...), got {one!r}")
        name = one.name or (definition.name if n == 0 else f"{definition.name}#{n + 1}")
        check_name(name)
        if name in found:
            raise ConfigError(f"{definition.name}: two schedules are called {name!r}; give one another name=")
        found[name] = replace(one, name=name)
        _check_call(definition, one)
    if found and definition.options.debounce is not None:
        raise ConfigError(f"{definition.name}: schedule: expected no debounce beside it: a tick has its own time")
    return found


def _check_call(definition: Definition, schedule: Schedule) -> None:
    try:
        definition.arguments.encode(tuple(schedule.args), schedule.kwargs)
    except ArgumentError as error:
        raise ConfigError(
            f"{definition.name}: schedule: it cannot be called so: {error}; give args= or kwargs= in the schedule"
        ) from None


def _expect(fits: bool, option: str, expected: str, got: object) -> None:
    if not fits:
        raise ConfigError(f"{option}: expected {expected}, got {got!r}")
