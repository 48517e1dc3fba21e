"""Ranges of ids, dates and instants: half open, exact, and each item in one chunk."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge import dates, ids, times
from taskbridge.chunking import decode, encode
from taskbridge.errors import ConfigError, DecodeError
from taskbridge.flow.intervals import ID_MAX, ID_MIN

from .walks import ends, items, walk

DAY = datetime(2026, 3, 29, tzinfo=UTC)
Stopping = Callable[[], bool]
MICROSECOND = timedelta(microseconds=1)
INSTANTS = some.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=some.just(UTC))  # noqa: DTZ001


@given(some.integers(ID_MIN, ID_MAX - 300), some.integers(0, 300), some.integers(1, 40), some.integers(1, 400))
def test_every_id_is_in_one_chunk(start: int, length: int, step: int, size: int):
    """In order and once, whatever start, step and size; the bounds count them before the first."""
    over = ids(start, start + length, step=step)
    expected = list(range(start, start + length, step))

    assert expected == items(over, size)
    assert len(expected) == over.open().total


@given(some.integers(0, 60), some.integers(1, 5), some.integers(1, 20), ends())
def test_ids_go_on_where_a_chunk_was_ended(length: int, step: int, size: int, stopping: Stopping):
    """Wherever the worker is asked to stop, the next chunk starts with the first id that was not given."""
    over = ids(0, length, step=step)

    assert list(range(0, length, step)) == items(over, size, stopping=stopping)


@given(some.dates(date(1999, 1, 1), date(2401, 1, 1)), some.integers(0, 1500), some.integers(1, 800), ends())
def test_every_day_is_in_one_chunk(start: date, length: int, size: int, stopping: Stopping):
    """Over leap years, in order and once, wherever a chunk is ended."""
    over = dates(start, start + timedelta(days=length))

    found = items(over, size, stopping=stopping)

    assert [start + timedelta(days=n) for n in range(length)] == found


@given(INSTANTS, some.integers(0, 5_000), some.integers(1, 900), some.integers(0, 2_000), ends())
def test_every_instant_is_in_one_chunk(start: datetime, length: int, step: int, more: int, stopping: Stopping):
    """To the microsecond, whether the size is a multiple of the step or not, wherever a chunk is ended."""
    over = times(start, start + length * MICROSECOND, step=step * MICROSECOND)
    size = (step + more) * MICROSECOND

    found = items(over, size, stopping=stopping)

    assert [start + n * MICROSECOND for n in range(0, length, step)] == found
    assert len(found) == over.open().total


@given(INSTANTS, some.integers(0, 10**15), some.integers(10**12, 10**14))
def test_windows_have_no_gap_and_no_overlap(start: datetime, length: int, size: int):
    """A chunk stops where the next one starts, from the first instant to the last."""
    stop = start + length * MICROSECOND

    windows = [(chunk.start, chunk.stop) for chunk in walk(times(start, stop), size * MICROSECOND)]

    assert ([start, *(until for _, until in windows[:-1])] if length else []) == [since for since, _ in windows]
    assert ([stop] if length else []) == [until for _, until in windows][-1:]
    assert all(until - since == size * MICROSECOND for since, until in windows[:-1])


def test_a_day_of_quarter_seconds_in_chunks_of_an_hour():
    """345,600 instants in 24 chunks; not one of them is rounded."""
    chunks = list(walk(times(DAY, DAY + timedelta(days=1), step=0.25), timedelta(hours=1)))

    assert 24 == len(chunks)
    assert 345_600 == sum(map(len, chunks)) == len({instant for chunk in chunks for instant in chunk})
    assert DAY + timedelta(hours=23, minutes=59, seconds=59, milliseconds=750) == chunks[-1].items[-1]


def test_a_chunk_has_as_many_ids_as_its_size():
    """With a step too; the last has the rest, and no next."""
    chunks = list(walk(ids(0, 5_000, step=2), 1_000))

    assert [1_000, 1_000, 500] == [len(chunk) for chunk in chunks]
    assert [(0, 2_000), (2_000, 4_000), (4_000, 5_000)] == [(chunk.start, chunk.stop) for chunk in chunks]
    assert [b"2000", b"4000", None] == [chunk.next and bytes(chunk.next) for chunk in chunks]
    assert [0, 1, 2] == [chunk.number for chunk in chunks]
    assert range(0, 2_000, 2) == chunks[0].items


@pytest.mark.parametrize(
    "over", [ids(0, 0), ids(7, 7, step=3), dates(date(2024, 2, 29), date(2024, 2, 29)), times(DAY, DAY)]
)
def test_an_empty_range_runs_nothing(over: Any):
    """It has no first cursor, and a total of 0."""
    assert (0, None) == (over.open().total, over.open().cursor)
    assert [] == list(walk(over, 1))


def test_time_zones_are_utc_inside():
    """The hour that a clock is set forward or back is as long as it is: 23 hours, 25 hours."""
    berlin = ZoneInfo("Europe/Berlin")
    spring = times(datetime(2026, 3, 29, tzinfo=berlin), datetime(2026, 3, 30, tzinfo=berlin), step=3600)
    autumn = times(datetime(2026, 10, 25, tzinfo=berlin), datetime(2026, 10, 26, tzinfo=berlin), step=3600)

    assert (23, 25) == (len(set(items(spring, 7200))), len(set(items(autumn, 7200))))
    assert datetime(2026, 3, 28, 23, tzinfo=UTC) == items(spring, 3600)[0]
    assert UTC == items(spring, 3600)[0].tzinfo


def test_bounds_are_called_when_a_run_starts():
    """Functions are asked once per run, not when the range is declared."""
    last = [3]
    over = ids(lambda: 1, lambda: last[0])
    last[0] = 5

    bounds = over.open()
    last[0] = 9

    assert [1, 2, 3, 4] == [item for chunk in walk(over, 3, bounds=bounds) for item in chunk]
    assert b'{"kind":"ids","start":1,"stop":5,"step":1,"total":4}' == encode(bounds)
    assert 8 == over.open().total


@pytest.mark.parametrize(
    ("over", "written"),
    [
        (ids(-5, 5, step=3), '{"kind":"ids","start":-5,"stop":5,"step":3,"total":4}'),
        (
            dates(date(2024, 2, 28), date(2024, 3, 1)),
            '{"kind":"dates","start":"2024-02-28","stop":"2024-03-01","step":1,"total":2}',
        ),
        (
            times(DAY - MICROSECOND, DAY.astimezone(timezone(timedelta(hours=2))), step=0.25),
            '{"kind":"times","start":"2026-03-28T23:59:59.999999Z","stop":"2026-03-29T00:00:00Z","step":250000,"total":1}',
        ),
        (times(DAY, DAY + MICROSECOND), None),
    ],
)
def test_bounds_travel_as_json(over: Any, written: str | None):
    """And come back the same; the first cursor is the start."""
    bounds = over.open()

    assert written in {encode(bounds).decode(), None}
    assert bounds == decode(encode(bounds))
    assert bounds.start == bounds.cursor


@given(some.integers(0, 500), some.integers(1, 9), some.integers(1, 100))
def test_what_is_done_is_known_by_the_cursor(length: int, step: int, size: int):
    """The items of the chunks before a cursor are as many as ``done`` says."""
    over = ids(-100, length - 100, step=step)
    bounds, before = over.open(), 0

    for chunk in walk(over, size):
        assert before == over.done(bounds, msgspec.Raw(str(chunk.start).encode()))
        before += len(chunk)


def test_what_is_done_of_a_time_without_steps():
    """In microseconds, as its total."""
    over = times(DAY, DAY + timedelta(hours=1))
    first = next(iter(walk(over, 900)))

    assert first.next is not None
    assert (900_000_000, 3_600_000_000) == (over.done(over.open(), first.next), over.open().total)


def test_a_time_without_steps_has_no_items():
    """It has a start and a stop; who iterates is told what to say."""
    (chunk,) = walk(times(DAY, DAY + timedelta(hours=1)), 3600)

    for asked in (lambda: list(chunk), lambda: len(chunk), lambda: chunk.items[0]):
        with pytest.raises(ConfigError, match=r"no items: say times\(\.\.\., step=\.\.\.\) to iterate"):
            asked()


def test_a_chunk_of_any_size_is_small():
    """A hundred years of microseconds are a sequence that makes what it is asked for."""
    (chunk,) = walk(times(DAY, DAY + timedelta(days=36_500), step=MICROSECOND), timedelta(days=40_000))

    assert 36_500 * 86_400 * 10**6 == len(chunk)
    assert DAY + timedelta(days=36_500) - MICROSECOND == chunk.items[-1]
    assert [DAY + MICROSECOND, DAY + 3 * MICROSECOND] == list(chunk.items[1:5:2])


def test_the_last_day_and_the_largest_ids():
    """Nothing is counted beyond what a date or 64 bits hold."""
    last = date.max - timedelta(days=3)

    assert [last, last + timedelta(days=1), last + timedelta(days=2)] == items(dates(last, date.max), 2)
    assert [ID_MAX - 2, ID_MAX - 1] == items(ids(ID_MAX - 2, ID_MAX), 10**9)
    assert 2**64 - 1 == ids(ID_MIN, ID_MAX).open().total


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: ids(5, 3), "ids: expected a start that is not after the stop, got 5 and 3"),
        (lambda: ids(lambda: 5, 3).open(), "ids: expected a start that is not after the stop, got 5 and 3"),
        (lambda: ids("0", 3), "start: expected a whole number of at most 64 bits, got '0'"),
        (lambda: ids(0, 3.0), "stop: expected a whole number of at most 64 bits, got 3.0"),
        (lambda: ids(lambda: 0, True), "stop: expected a whole number of at most 64 bits, got True"),
        (lambda: ids(0, 2**63), "stop: expected a whole number of at most 64 bits, got 9223372036854775808"),
        (lambda: ids(0, lambda: None).open(), r"stop=.*<lambda>\(\): expected a whole number .*, got None"),
        (lambda: ids(0, lambda top: top), r"stop: expected a plain function \(\), got"),
        (lambda: ids(0, 9, step=0), "step: expected a whole number, 1 or more; got 0"),
        (lambda: ids(0, 9, step=-1), "step: expected a whole number, 1 or more; got -1"),
        (lambda: ids(0, 9, step=0.5), "step: expected a whole number, 1 or more; got 0.5"),
        (lambda: dates(date(2026, 1, 2), date(2026, 1, 1)), "dates: expected a start that is not after the stop"),
        (lambda: dates("2026-01-01", date(2026, 1, 1)), "start: expected a date, got '2026-01-01'"),
        (lambda: dates(DAY, DAY), r"start: expected a date, got datetime.*; a range of instants is times\("),
        (lambda: times(DAY, DAY - MICROSECOND), "times: expected a start that is not after the stop"),
        (lambda: times(datetime(2026, 1, 1), DAY), r"start: datetime.datetime\(2026.* has no time zone; give it one"),  # noqa: DTZ001
        (lambda: times(DAY, lambda: datetime(2026, 1, 1)).open(), r"stop=.*\(\): .* has no time zone"),  # noqa: DTZ001
        (lambda: times(DAY, date(2026, 1, 1)), "stop: expected a datetime with a time zone, got datetime.date"),
        (lambda: times(DAY, DAY, step=0), "step: expected a span of a microsecond or more, got 0"),
        (lambda: times(DAY, DAY, step=timedelta(-1)), "step: expected a span of a microsecond or more"),
        (lambda: times(DAY, DAY, step="1s"), "step: expected seconds or a timedelta, got '1s'"),
        (lambda: times(DAY, DAY, step=float("inf")), "step: expected seconds or a timedelta, got inf"),
        (
            lambda: times(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), DAY),
            "start: .* is out of the years 1 to 9999 in UTC",
        ),
    ],
)
def test_what_is_no_range_is_refused(declare: Any, told: str):
    """At once, or when its functions are called; with what was expected and what came."""
    with pytest.raises(ConfigError, match=f"^{told}"):
        declare()


@pytest.mark.parametrize(
    ("over", "size", "told"),
    [
        (ids(0, 9), 0, "expected how many ids a chunk has, 1 or more; got 0"),
        (ids(0, 9), -1, "expected how many ids a chunk has, 1 or more; got -1"),
        (ids(0, 9), 1.5, "expected how many ids a chunk has, 1 or more; got 1.5"),
        (ids(0, 9), True, "expected how many ids a chunk has, 1 or more; got True"),
        (ids(0, 9), None, "expected how many ids a chunk has, 1 or more; got None"),
        (dates(date.min, date.max), 0, "expected how many dates a chunk has, 1 or more; got 0"),
        (dates(date.min, date.max), timedelta(0), "expected how many dates a chunk has, 1 or more; got 0"),
        (dates(date.min, date.max), timedelta(hours=36), "expected whole days, got datetime.timedelta"),
        (times(DAY, DAY), 0, "expected a span of a microsecond or more, got 0"),
        (times(DAY, DAY), -1.5, "expected a span of a microsecond or more, got -1.5"),
        (times(DAY, DAY), timedelta(-1), "expected a span of a microsecond or more, got datetime"),
        (times(DAY, DAY), None, "expected seconds or a timedelta, got None"),
        (times(DAY, DAY), float("nan"), "expected seconds or a timedelta, got nan"),
    ],
)
def test_size_out_of_range_is_refused(over: Any, size: Any, told: str):
    """In the words of the range."""
    with pytest.raises(ConfigError, match=f"^size: {told}"):
        over.sized(size)


def test_sizes_are_in_the_unit_of_the_range():
    """Days, or a span of whole days; microseconds of a span of time."""
    day, time = dates(date.min, date.max), times(DAY, DAY)

    assert (7, 14) == (day.sized(7), day.sized(timedelta(weeks=2)))
    assert (250_000, 3_600_000_000, 1) == (time.sized(0.25), time.sized(timedelta(hours=1)), time.sized(0.000001))


@pytest.mark.parametrize("at", [b'"x"', b"1.5", b"null", b"9223372036854775808", b"true"])
def test_a_cursor_of_another_kind_is_refused(at: bytes):
    """A run that was kept is not gone on with somewhere."""
    over = ids(0, 9)

    with pytest.raises(DecodeError, match="expected a cursor of ids, got b"):
        over.chunk(over.open(), msgspec.Raw(at), 1)


def test_a_run_over_another_kind_is_refused():
    """A release that declares another range cannot go on with the runs of the one before."""
    bounds = dates(date(2026, 1, 1), date(2026, 1, 2)).open()

    with pytest.raises(ConfigError, match="the run is over dates, and its task is declared over ids"):
        ids(0, 9).chunk(bounds, bounds.start, 1)
    with pytest.raises(DecodeError, match="expected the bounds of a range, got"):
        decode(b'{"kind":"ids"}')


def test_ranges_say_what_they_are():
    """For an error, or a log: functions by their name."""

    def last() -> int:
        return 9

    last.__qualname__ = "User.max_id"

    assert "ids(0, User.max_id)" == repr(ids(0, last))
    assert "dates(datetime.date(2026, 1, 1), date.today)" == repr(dates(date(2026, 1, 1), date.today))
