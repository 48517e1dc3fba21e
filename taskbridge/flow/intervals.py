"""Ranges of ids, dates and instants: what is half open, and how it is cut into chunks.

All three are whole numbers inside, with a step: ids themselves, days, microseconds in UTC. So a bound is exact, and
every item is in one chunk, whatever the size and wherever a chunk was ended early.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from ..chunking import Bounds
from ..clock import Span
from ..errors import ConfigError, DecodeError
from ..options import check_function
from .chunk import Chunk, as_json
from .items import Items, NoItems
from .ranges import Range

T = TypeVar("T")

#: An id is what a database's BIGINT holds.
ID_MIN, ID_MAX = -(2**63), 2**63 - 1

#: An instant's number is the microseconds since this one.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Interval(Range[T]):
    """A half open range of what is a whole number inside.

    Args:
        start: the first one, or a function without arguments that gives it when a run starts.
        stop: the first one that is no more of it, or such a function.
        step: between two items, as a whole number; 0 has no items.

    Raises:
        ConfigError: a bound is of another type, or the start is after the stop.
    """

    travels = True

    def __init__(self, start: T | Callable[[], T], stop: T | Callable[[], T], step: int) -> None:
        self._start, self._stop, self._step = start, stop, step
        for option, bound in (("start", start), ("stop", stop)):
            if callable(bound):
                check_function(option, bound)
            else:
                self._checked(option, bound)
        if not callable(start) and not callable(stop):
            self.open()

    def __repr__(self) -> str:
        return f"{self.kind}({_said(self._start)}, {_said(self._stop)})"

    def open(self) -> Bounds:
        start, stop = self._value("start", self._start), self._value("stop", self._stop)
        first, end = self._number(start), self._number(stop)
        if first > end:
            raise ConfigError(f"{self.kind}: expected a start that is not after the stop, got {start!r} and {stop!r}")
        total = -((first - end) // (self._step or 1))
        return Bounds(kind=self.kind, start=as_json(start), stop=as_json(stop), step=self._step, total=total)

    def _chunk(self, bounds: Bounds, at: msgspec.Raw, size: int) -> Chunk[T] | None:
        first, end = self._read(at), self._read(bounds.stop)
        if first >= end:
            return None
        stop = min(first + size * self._unit(bounds), end)
        start, after = self._at(first), self._at(stop)
        following = after if stop < end else None
        if not bounds.step:
            none: Sequence[T] = NoItems()
            return Chunk(none, next=following, start=start, stop=after).carried(as_json)
        onset = self._read(bounds.start)
        first = onset - (onset - first) // bounds.step * bounds.step  # the first item that is not before the cursor
        items = range(first, stop, bounds.step)
        cursors = range(first + bounds.step, stop + bounds.step, bounds.step)
        chunk = Chunk(self._items(items), cursors=Items(cursors, self._at), next=following, start=start, stop=after)
        return chunk.carried(as_json)

    def done(self, bounds: Bounds, at: msgspec.Raw) -> int:
        return -((self._read(bounds.start) - self._read(at)) // (bounds.step or 1))

    def sized(self, size: object) -> int:
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= ID_MAX:
            raise ConfigError(f"size: expected how many {self.kind} a chunk has, 1 or more; got {size!r}")
        return size

    def _value(self, option: str, bound: T | Callable[[], T]) -> T:
        return self._checked(f"{option}={_name(bound)}()" if callable(bound) else option, _called(bound))

    def _read(self, cursor: msgspec.Raw) -> int:
        try:
            return self._number(self._checked("cursor", self._decode(cursor)))
        except (msgspec.DecodeError, ConfigError) as error:
            raise DecodeError(f"expected a cursor of {self.kind}, got {bytes(cursor)[:80]!r}: {error}") from None

    def _unit(self, bounds: Bounds) -> int:
        """How many numbers a size of 1 spans."""
        return bounds.step

    def _items(self, numbers: range) -> Sequence[T]:
        return Items(numbers, self._at)

    @abstractmethod
    def _checked(self, option: str, value: Any) -> T:
        """Return the value, or refuse it."""

    @abstractmethod
    def _decode(self, raw: msgspec.Raw) -> T: ...
    @abstractmethod
    def _number(self, value: T) -> int: ...
    @abstractmethod
    def _at(self, number: int) -> T: ...


class Ids(Interval[int]):
    """Whole numbers; see ``ids``."""

    kind = "ids"

    def _checked(self, option: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not ID_MIN <= value <= ID_MAX:
            raise ConfigError(f"{option}: expected a whole number of at most 64 bits, got {value!r}")
        return value

    def _decode(self, raw: msgspec.Raw) -> int:
        return msgspec.json.decode(raw, type=int)

    def _number(self, value: int) -> int:
        return value

    def _at(self, number: int) -> int:
        return number

    def _items(self, numbers: range) -> Sequence[int]:
        return numbers


class Dates(Interval[date]):
    """Days; see ``dates``."""

    kind = "dates"

    def sized(self, size: object) -> int:
        if isinstance(size, timedelta):
            if size % timedelta(days=1):
                raise ConfigError(f"size: expected whole days, got {size!r}")
            size = size.days
        return super().sized(size)

    def _checked(self, option: str, value: Any) -> date:
        if isinstance(value, datetime):
            raise ConfigError(f"{option}: expected a date, got {value!r}; a range of instants is times(start, stop)")
        if not isinstance(value, date):
            raise ConfigError(f"{option}: expected a date, got {value!r}")
        return value

    def _decode(self, raw: msgspec.Raw) -> date:
        return msgspec.json.decode(raw, type=date)

    def _number(self, value: date) -> int:
        return value.toordinal()

    def _at(self, number: int) -> date:
        return date.fromordinal(number)


class Times(Interval[datetime]):
    """Instants in UTC, exact to the microsecond; see ``times``."""

    kind = "times"

    def sized(self, size: object) -> int:
        return _microseconds(size, "size")

    def check(self, size: int, max_runtime_ms: int) -> None:
        if size < self._step:
            raise ConfigError(
                f"size: expected at least the step of {self._step * MICROSECOND}, got {size * MICROSECOND}: "
                f"some chunks would have no items"
            )
        if max_runtime_ms and not self._step:
            raise ConfigError("max_runtime: it ends a chunk between two items; say times(..., step=...)")

    def _checked(self, option: str, value: Any) -> datetime:
        if not isinstance(value, datetime):
            raise ConfigError(f"{option}: expected a datetime with a time zone, got {value!r}")
        if value.utcoffset() is None:
            raise ConfigError(f"{option}: {value!r} has no time zone; give it one, such as timezone.utc")
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise ConfigError(f"{option}: {value!r} is out of the years 1 to 9999 in UTC") from None

    def _decode(self, raw: msgspec.Raw) -> datetime:
        return msgspec.json.decode(raw, type=datetime)

    def _number(self, value: datetime) -> int:
        return (value - EPOCH) // MICROSECOND

    def _at(self, number: int) -> datetime:
        return EPOCH + number * MICROSECOND

    def _unit(self, bounds: Bounds) -> int:
        return 1


def ids(start: int | Callable[[], int], stop: int | Callable[[], int], *, step: int = 1) -> Range[int]:
    """Return the ids from ``start`` up to and without ``stop``; a chunk's size is how many.

    ::

        @chunked(over=ids(0, User.max_id), size=1_000)

    Args:
        start: the first one, or a function without arguments, called when a run starts.
        stop: the first one that is no more of it, or such a function.
        step: between two. Defaults to 1.

    Raises:
        ConfigError: a bound is no whole number of at most 64 bits, ``start`` is after ``stop``, or ``step`` is below 1.
    """
    return Ids(start, stop, _whole_step(step))


def dates(start: date | Callable[[], date], stop: date | Callable[[], date]) -> Range[date]:
    """Return the days from ``start`` up to and without ``stop``; a chunk's size is how many, or a timedelta.

    Args:
        start: the first one, or a function without arguments, called when a run starts.
        stop: the first one that is no more of it, or such a function.

    Raises:
        ConfigError: a bound is no ``date``, or ``start`` is after ``stop``.
    """
    return Dates(start, stop, 1)


def times(
    start: datetime | Callable[[], datetime], stop: datetime | Callable[[], datetime], *, step: Span | None = None
) -> Range[datetime]:
    """Return the time from ``start`` up to and without ``stop``; a chunk's size is seconds or a timedelta.

    A chunk has ``start`` and ``stop``, in UTC and exact to the microsecond; with a ``step`` it can be iterated.

    Args:
        start: an instant with a time zone, or a function without arguments, called when a run starts.
        stop: the first instant that is no more of it, or such a function.
        step: between two items, counted from ``start``: seconds or a timedelta. Defaults to none.

    Raises:
        ConfigError: a bound has no time zone, ``start`` is after ``stop``, or ``step`` is below a microsecond.
    """
    return Times(start, stop, 0 if step is None else _microseconds(step, "step"))


def _whole_step(step: object) -> int:
    if not isinstance(step, int) or isinstance(step, bool) or not 1 <= step <= ID_MAX:
        raise ConfigError(f"step: expected a whole number, 1 or more; got {step!r}")
    return step


def _microseconds(span: object, option: str) -> int:
    if isinstance(span, timedelta):
        exact = span // MICROSECOND
    elif isinstance(span, int | float) and not isinstance(span, bool):
        try:
            exact = round(span * 1_000_000)
        except (OverflowError, ValueError):
            raise ConfigError(f"{option}: expected seconds or a timedelta, got {span!r}") from None
    else:
        raise ConfigError(f"{option}: expected seconds or a timedelta, got {span!r}")
    if exact < 1:
        raise ConfigError(f"{option}: expected a span of a microsecond or more, got {span!r}")
    return exact


def _called(bound: Any) -> Any:
    return bound() if callable(bound) else bound


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _said(bound: Any) -> str:
    return _name(bound) if callable(bound) else repr(bound)
