"""The only reader of time.

Wall time is an integer of unix milliseconds (``now_ms``); elapsed time is monotonic seconds, the same clock
in every process of a machine. The store's time is the server's own and is never read here.
"""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Protocol

from .errors import ConfigError

#: A wait or an age: seconds, or a timedelta.
Span = float | timedelta


class Clock(Protocol):
    """What the core asks of time."""

    def now_ms(self) -> int:
        """Wall time, unix milliseconds."""

    def monotonic_s(self) -> float:
        """Elapsed time, seconds since an arbitrary instant of this machine."""

    def sleep(self, seconds: float) -> None:
        """Do nothing for so long."""


class SystemClock:
    """The machine's time, shifted by what the store's clock is known to differ."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def agree_with(self, store_now_ms: int) -> None:
        """Correct the stamps of this process to the store's clock."""
        self.offset_ms += store_now_ms - self.now_ms()


def seconds_of(text: object, what: str = "span") -> Span:
    """Read a span as settings and commands have it: seconds, or a text such as ``90s``, ``5m``, ``2h``, ``1d``.

    Args:
        text: what was written.
        what: what it is, for the error.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(text, int | float | timedelta) and not isinstance(text, bool):
        return text
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text) if isinstance(text, str) else None
    if found is None:
        raise ConfigError(f"{what}: expected seconds, or a text such as 90s, 5m, 2h or 1d; got {text!r}")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2] or "s"]


def milliseconds(span: Span, what: str = "span") -> int:
    """Return the span in whole milliseconds.

    Args:
        span: seconds, or a timedelta.
        what: what it is, for the error.

    Raises:
        ConfigError: it is neither, or no number.
    """
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    try:
        return round(seconds * 1000)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{what}: expected seconds or a timedelta, got {span!r}") from None
