"""What a worker must tell the store it tells again, until the store answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from .clock import Clock
from .errors import StoreUnavailable

log = logging.getLogger("taskbridge")

T = TypeVar("T")

#: How long a worker waits before it asks an absent store again, seconds: first, and at most.
PATIENCE_S = (0.05, 2.0)


def patiently(call: Callable[[], T], clock: Clock) -> T:
    """Call until the store answers: the same call, for as long as it takes."""
    wait_s, longest_s = PATIENCE_S
    while True:
        try:
            return call()
        except StoreUnavailable as error:
            log.warning("%s; trying again in %.2f s", error, wait_s)
            clock.sleep(wait_s)
            wait_s = min(wait_s * 2, longest_s)
