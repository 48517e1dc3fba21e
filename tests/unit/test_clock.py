"""Time: spans to milliseconds, and stamps that agree with the store's clock."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.clock import SystemClock, milliseconds
from taskbridge.errors import ConfigError


@given(some.integers(min_value=-(10**12), max_value=10**12))
def test_seconds_and_timedelta_are_the_same_span(ms: int):
    """A span may be written in seconds or as a timedelta; both are whole milliseconds inside."""
    assert ms == milliseconds(timedelta(milliseconds=ms)) == milliseconds(ms / 1000)


@pytest.mark.parametrize("span", ["60", None, float("nan"), float("inf"), [1], {}, object()])
def test_what_is_no_span_is_refused(span: Any):
    """What is neither seconds nor a timedelta, or has no end, is named with what was expected."""
    with pytest.raises(ConfigError, match=r"^expires: expected seconds or a timedelta, got "):
        milliseconds(span, "expires")


def test_clock_agrees_with_the_store():
    """After it was told the store's time, a producer's stamps are that time, however wrong the machine is."""
    clock = SystemClock()
    clock.agree_with(1_000)
    began_s = clock.monotonic_s()
    clock.agree_with(1_000_000_000_000)

    found_ms = clock.now_ms() - 1_000_000_000_000

    assert 0 <= found_ms < 1_000 + (clock.monotonic_s() - began_s) * 1_000


def test_elapsed_time_is_not_shifted():
    """Agreement moves the wall clock only: a wait is as long as before."""
    clock = SystemClock()
    before_s = clock.monotonic_s()

    clock.agree_with(0)
    clock.sleep(0)

    assert before_s <= clock.monotonic_s() <= time.monotonic()
