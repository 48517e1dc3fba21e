"""When a schedule ticks; and what becomes of it where clocks are changed."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskbridge.errors import ConfigError
from taskbridge.policies.ticks import MOST_COUNTED, Crontab, Interval, Timing

HOUR_MS = 3_600_000

#: Instants of fifty years, and spans of up to a month.
INSTANTS = st.integers(0, 1_600_000_000_000)
SPANS = st.integers(1_000, 31 * 24 * HOUR_MS)

CRONS = st.sampled_from(
    [
        *("* * * * *", "*/5 * * * *", "30 * * * *", "0 6 * * 1-5", "30 2 * * *", "*/20 1-3 * * *", "0 0 1 * *"),
        *("0 0 * * 0", "15 */2 * * *", "0 0 29 2 *", "59 23 L * *", "0 12 * * MON#2", "0,30 2,3 * * *"),
    ]
)
ZONES = st.sampled_from(
    [
        *("UTC", "Europe/Warsaw", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia"),
        *("Asia/Kathmandu", "Africa/Casablanca", "America/Santiago"),
    ]
)
TIMINGS = st.builds(Crontab, CRONS, ZONES) | st.builds(Interval, SPANS, st.integers(0, 1_000_000_000_000))


def ms(text: str, zone: str = "UTC") -> int:
    """An instant as a clock on the wall shows it; the first of two."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


def ticks(timing: Timing, after: str, count: int, zone: str) -> list[str]:
    """The next ticks as a clock on the wall shows them, with its distance from UTC."""
    found, at_ms = [], ms(after, zone)
    for _ in range(count):
        next_ms = timing.after(at_ms)
        assert next_ms is not None
        at_ms = next_ms
        found.append(f"{datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)):%d %H:%M %z}")
    return found


@given(TIMINGS, INSTANTS)
def test_next_tick_is_the_first_after_an_instant(timing: Timing, at_ms: int):
    """It is after it, and there is none between: whoever asks from anywhere between gets the same."""
    tick_ms = timing.after(at_ms)

    assert tick_ms is not None
    assert tick_ms > at_ms
    assert {tick_ms} == {timing.after(between) for between in (at_ms + (tick_ms - at_ms) // 2, tick_ms - 1)}


@given(TIMINGS, INSTANTS, st.integers(1, 400))
def test_last_tick_and_count_agree_with_one_by_one(timing: Timing, at_ms: int, count: int):
    """What is found from the end is what walking finds."""
    first_ms = timing.after(at_ms)
    assert first_ms is not None
    walked = [first_ms]
    for _ in range(count):
        walked.append(timing.after(walked[-1]) or 0)

    assert walked == sorted(set(walked))
    for until_ms in (walked[-1], walked[-1] + 1, (timing.after(walked[-1]) or 0) - 1):
        assert walked[-1] == timing.last(first_ms, until_ms)
        assert count == timing.count(first_ms, until_ms)
    assert (first_ms, 0) == (timing.last(first_ms, first_ms), timing.count(first_ms, first_ms))


def test_last_tick_after_very_long_is_found_at_once():
    """A year of a cron of minutes is not walked through, nor counted to the end."""
    timing, since_ms, until_ms = Crontab("* 1 * * *"), ms("2025-01-01T01:00"), ms("2026-06-01T00:30")

    assert ms("2026-05-31T01:59") == timing.last(since_ms, until_ms)
    assert MOST_COUNTED == timing.count(since_ms, until_ms)


def test_every_is_aligned_to_the_epoch_or_its_start():
    """So that all relays agree; there is no tick before the start."""
    start_ms = ms("2026-03-01T00:01")

    assert ms("2026-03-01T12:05") == Interval(300_000).after(ms("2026-03-01T12:00"))
    assert ms("2026-03-01T12:05") == Interval(300_000).after(ms("2026-03-01T12:04"))
    assert ms("2026-03-01T12:06") == Interval(300_000, start_ms).after(ms("2026-03-01T12:01"))
    assert start_ms == Interval(300_000, start_ms).after(0)


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # Warsaw, 29 March 2026: 02:00 +0100 becomes 03:00 +0200
        ("30 2 * * *", "Europe/Warsaw", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:30 +0200"]),
        ("0 2 * * *", "Europe/Warsaw", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:00 +0200"]),
        ("0 3 * * *", "Europe/Warsaw", "2026-03-28T12:00", ["29 03:00 +0200", "30 03:00 +0200"]),
        ("0,30 2,3 * * *", "Europe/Warsaw", "2026-03-28T12:00", ["29 03:00 +0200", "29 03:30 +0200", "30 02:00 +0200"]),
        ("30 */2 * * *", "Europe/Warsaw", "2026-03-29T00:00", ["29 00:30 +0100", "29 03:00 +0200", "29 04:30 +0200"]),
        ("30 * * * *", "Europe/Warsaw", "2026-03-29T01:00", ["29 01:30 +0100", "29 03:30 +0200", "29 04:30 +0200"]),
        ("*/30 * * * *", "Europe/Warsaw", "2026-03-29T01:15", ["29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"]),
        # Warsaw, 25 October 2026: 03:00 +0200 becomes 02:00 +0100
        ("30 2 * * *", "Europe/Warsaw", "2026-10-24T12:00", ["25 02:30 +0200", "26 02:30 +0100"]),
        ("0 2,3 * * *", "Europe/Warsaw", "2026-10-24T12:00", ["25 02:00 +0200", "25 03:00 +0100", "26 02:00 +0100"]),
        ("30 */2 * * *", "Europe/Warsaw", "2026-10-25T00:00", ["25 00:30 +0200", "25 02:30 +0200", "25 04:30 +0100"]),
        ("30 * * * *", "Europe/Warsaw", "2026-10-25T02:00", ["25 02:30 +0200", "25 02:30 +0100", "25 03:30 +0100"]),
        # New York, 8 March 2026: 02:00 -0500 becomes 03:00 -0400
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00", ["08 03:00 -0400", "09 02:30 -0400"]),
        ("0 6 * * *", "America/New_York", "2026-03-07T12:00", ["08 06:00 -0400", "09 06:00 -0400"]),
        ("30 * * * *", "America/New_York", "2026-03-08T01:00", ["08 01:30 -0500", "08 03:30 -0400", "08 04:30 -0400"]),
        # New York, 1 November 2026: 02:00 -0400 becomes 01:00 -0500
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["01 01:30 -0400", "02 01:30 -0500"]),
        (
            "*/30 * * * *",
            "America/New_York",
            "2026-11-01T01:15",
            ["01 01:30 -0400", "01 01:00 -0500", "01 01:30 -0500"],
        ),
        # where a day begins at 01:00, where the change is half an hour, where a day was left out
        ("0 0 * * *", "America/Havana", "2026-03-07T12:00", ["08 01:00 -0400", "09 00:00 -0400"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["04 02:30 +1100", "05 02:15 +1100"]),
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00", ["31 00:00 +1400", "30 12:00 +1400"]),
    ],
)
def test_cron_where_clocks_are_changed(expression: str, zone: str, after: str, expected: list[str]):
    """A time that is left out is the first instant after; one that comes twice is the first; hourly is hourly."""
    assert expected == ticks(Crontab(expression, zone), after, len(expected), zone)


@pytest.mark.parametrize("fold", [0, 1])
def test_cron_looked_at_in_an_hour_that_comes_twice(fold: int):
    """In its second pass, what came in the first does not come again."""
    looked_at = datetime(2026, 10, 25, 2, 15, tzinfo=ZoneInfo("Europe/Warsaw"), fold=fold)

    tick_ms = Crontab("30 2 * * *", "Europe/Warsaw").after(int(looked_at.timestamp()) * 1000)

    assert ms("2026-10-26T02:30" if fold else "2026-10-25T02:30", "Europe/Warsaw") == tick_ms


@given(st.sampled_from(["Europe/Warsaw", "America/New_York"]), st.integers(2020, 2040))
def test_every_hour_is_every_hour(zone: str, year: int):
    """An hourly cron goes on in real time through a whole year."""
    timing, at_ms = Crontab("0 * * * *", zone), ms(f"{year}-01-01T00:30", zone)
    found = []
    for _ in range(24 * 7 * 48 // 8):
        at_ms = timing.after(at_ms) or 0
        found.append(at_ms)

    assert {HOUR_MS} == {later - sooner for sooner, later in pairwise(found)}


@pytest.mark.parametrize(
    ("expression", "tz", "why"),
    [
        ("0 0 30 2 *", "UTC", "never fires"),
        ("0 0 31 4,6 *", "UTC", "never fires"),
        ("* * */20 * 1L", "UTC", "never fires"),
        ("60 * * * *", "UTC", "bad minute"),
        ("0 25 * * *", "UTC", "bad hour"),
        ("0 0 * * 8", "UTC", "bad day-of-week"),
        ("0 0 * 13 *", "UTC", "bad month"),
        ("@daily", "UTC", "five fields"),
        ("* * * * * *", "UTC", "five fields"),
        ("", "UTC", "five fields"),
        (5, "UTC", "five fields"),
        ("0 0 * * *", "Europe/Warsw", "did you mean 'Europe/Warsaw'"),
        ("0 0 * * *", "../../etc/passwd", "expected a zone"),
        ("0 0 * * *", "Europe", "expected a zone"),
        ("0 0 * * *", "", "expected a zone"),
        ("0 0 * * *", None, "expected a zone"),
        ("0 0 * * *", ["UTC"], "expected a zone"),
    ],
)
def test_cron_that_cannot_be_is_refused(expression: str, tz: str, why: str):
    """With what is wrong, when it is declared."""
    with pytest.raises(ConfigError, match=why):
        Crontab(expression, tz)


@given(st.text("0123456789*/,-#LWMONJA ", max_size=20))
def test_no_expression_is_a_surprise(expression: str):
    """Any text is a schedule or a refusal."""
    try:
        timing = Crontab(expression)
    except ConfigError:
        return
    assert timing.after(0)


@pytest.mark.parametrize("every_ms", [0, -1, 999])
def test_interval_of_less_than_a_second_is_refused(every_ms: int):
    """It would be a stream of messages."""
    with pytest.raises(ConfigError, match="a second or more"):
        Interval(every_ms)


def test_machine_without_zones_is_told_what_to_install():
    """UTC needs none."""
    program = """
import sys, zoneinfo
zoneinfo.reset_tzpath(to=[])
sys.modules["tzdata"] = None
from taskbridge import cron
cron("0 6 * * *")
try:
    cron("0 6 * * *", tz="Europe/Warsaw")
except Exception as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert "tz: 'Europe/Warsaw' cannot be looked up" in said
    assert "pip install tzdata" in said


def test_ticks_are_whole_seconds():
    """Of a cron, whatever instant it is asked from."""
    assert ms("2026-01-01T00:01") == Crontab("* * * * *").after(ms("2026-01-01T00:00") + 999)
    assert datetime.fromtimestamp((Crontab("* * * * *").after(1) or 0) / 1000, UTC).second == 0
