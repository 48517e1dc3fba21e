"""What a worker must tell the store it tells again, until the store answers; what fails meanwhile is said seldom."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from .clock import Clock
from .errors import StoreUnavailable, StoreUnfit

log = logging.getLogger("taskbridge")

T = TypeVar("T")

#: How long a worker waits before it asks an absent store again, seconds: first, and at most.
PATIENCE_S = (0.05, 2.0)

#: How often it is said that something still fails, seconds.
SAY_EVERY_S = 60.0


class Trouble:
    """Says what fails again and again: the first time, once a minute with how often, and when it goes on.

    Args:
        log: where it is said.
        clock: whose minutes they are.
        says: what it comes to, as in ``the relay waits``.
        over: what it is when that has ended, as in ``the relay goes on``.
    """

    def __init__(self, log: logging.Logger, clock: Clock, says: str, over: str) -> None:
        self._log = log
        self._clock = clock
        self._says = says
        self._over = over
        self._count = 0
        self._silent_until_s = float("-inf")

    def met(self, error: Exception) -> None:
        """It has failed."""
        self._count += 1
        now_s = self._clock.monotonic_s()
        if now_s >= self._silent_until_s:
            self._silent_until_s = now_s + SAY_EVERY_S
            times = f" ({self._count} times now)" if self._count > 1 else ""
            self._log.warning("%s: %s%s", self._says, error, times)

    def over(self) -> None:
        """It has not."""
        if self._count:
            self._log.info("%s, after %d failures", self._over, self._count)
        self._count, self._silent_until_s = 0, float("-inf")


def patiently(call: Callable[[], T], clock: Clock) -> T:
    """Call until the store answers: the same call, for as long as it takes.

    A store that denies it is waited for like one that is away: whoever raised would have an engine's own command
    acknowledge what nobody has, and a child of ours end for each message that it takes.
    """
    wait_s, longest_s = PATIENCE_S
    while True:
        try:
            return call()
        except (StoreUnavailable, StoreUnfit) as error:
            log.warning("%s; trying again in %.2f s", error, wait_s)
            clock.sleep(wait_s)
            wait_s = min(wait_s * 2, longest_s)
