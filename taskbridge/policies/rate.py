"""A rate limit on a task: how many starts in which time, and per what. Pure; the store counts, by its own clock (GCRA).

Source: "Generic cell rate algorithm", ITU-T I.371: an instant per key runs ahead of now by what was taken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ..errors import ConfigError
from ..needs import NeedsTokens
from .key import fields_in, key_of, names_in

_RATE = re.compile(r"(\d+)/(\d*)(s|m|min|h|d)")
_UNIT_S = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}

#: More starts than this a second no store begins: 100 us each. Source: docs/benchmarks.md, no-op tasks.
MOST_A_SECOND = 10_000

_NAME = re.compile(r"[^\s:{}]+")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most so many starts in any window of time, over all workers of all engines: rate x window + ``burst``.

    Args:
        rate: ``70/s``, ``1000/m``, ``5/10s``, ``20/h`` or ``3/d``; rounded down by less than a microsecond a start.
        burst: how many may start at once after a pause. Defaults to 1 up to one a second, else a tenth of what a second
            allows, 2 at least.
        key: a template of the task's arguments, such as ``{provider_id}``: each value has a limit of its own. Defaults
            to one limit for all.
        name: what it is called, by ``taskbridge limits`` and by other tasks that share it. Defaults to the task's name.
        weight: how many tokens one start takes. Defaults to 1.

    Raises:
        ConfigError: no rate, one that no store can count, a burst or weight below 1 or a weight above the burst; a key
            that names no argument of the task, when the task is declared.
    """

    rate: str
    burst: int = 0
    key: str = ""
    name: str = ""
    weight: int = 1

    def __post_init__(self) -> None:
        interval_us, burst = pace(self.rate)
        if type(self.burst) is not int or self.burst < 0:
            raise ConfigError(f"rate_limit: burst: expected 1 or more, got {self.burst!r}")
        if type(self.weight) is not int or not 1 <= self.weight:
            raise ConfigError(f"rate_limit: weight: expected 1 or more, got {self.weight!r}")
        if self.weight > (self.burst or burst):
            raise ConfigError(
                f"rate_limit: a weight of {self.weight} is over the burst of {self.burst or burst}, so it could never "
                f"start: give burst={self.weight} or more"
            )
        if not interval_us:
            raise ConfigError(
                f"rate_limit: expected a rate above 0, got {self.rate!r}; `taskbridge limits pause` stops one"
            )
        if self.name and not _NAME.fullmatch(self.name):
            raise ConfigError(f"rate_limit: name: expected a word without blanks, colons or braces, got {self.name!r}")

    def fields(self) -> list[str]:
        """The arguments that its key names."""
        return fields_in(self.key)

    def check(self, arguments: Collection[str], task: str) -> None:
        """Refuse a key that the task's arguments cannot fill.

        Raises:
            ConfigError: it names one that the task does not have, or more than names.
        """
        names_in(self.key, arguments, f"{task}: rate_limit")

    def named(self, name: str) -> RateLimit:
        """Return it with this name, unless it has one.

        Raises:
            ConfigError: no limit can be called so.
        """
        if not self.name and not _NAME.fullmatch(name):
            raise ConfigError(f"rate_limit: no limit can be called {name!r} as its task is: give it name='...'")
        return self if self.name else replace(self, name=name)

    def need(self, values: Mapping[str, Any]) -> NeedsTokens:
        """What a claim with these arguments must have."""
        interval_us, burst = pace(self.rate)
        key = f"{self.name}:{key_of(self.key, values)}" if self.key else self.name
        return NeedsTokens(self.name, key, interval_us, self.burst or burst, self.weight)


def spoken(interval_us: int) -> str:
    """Return a rate that takes so long for one start, as ``pace`` reads it; where no whole number says it, how long."""
    for unit in "smhd":
        window_us = _UNIT_S[unit] * 1_000_000
        count = round(window_us / interval_us)
        if count and math.ceil(window_us / count) == interval_us:
            return f"{count}/{unit}"
    seconds, rest = divmod(interval_us, 1_000_000)
    return f"1 in {interval_us / 1000:g} ms" if rest else f"1/{seconds}s"


def pace(rate: str) -> tuple[int, int]:
    """Return how long one start takes (us; 0 when none may start) and the burst that belongs to it.

    Raises:
        ConfigError: it is no rate, or more than a store can count.
    """
    return _pace(str(rate))


@lru_cache(maxsize=1024)
def _pace(rate: str) -> tuple[int, int]:
    found = _RATE.fullmatch(rate)
    if found is None or found.group(2) == "0":
        raise ConfigError(f"expected a rate such as 70/s, 1000/m, 5/10s, 20/h or 3/d, got {rate!r}")
    count, window_s = int(found.group(1)), int(found.group(2) or 1) * _UNIT_S[found.group(3)]
    a_second = count / window_s
    if a_second > MOST_A_SECOND:
        raise ConfigError(
            f"expected a rate of at most {MOST_A_SECOND}/s, which is more than a store begins, got {rate!r}"
        )
    if not count:
        return 0, 1
    burst = 1 if a_second <= 1 else max(2, math.ceil(a_second / 10))
    return math.ceil(window_s * 1_000_000 / count), burst
