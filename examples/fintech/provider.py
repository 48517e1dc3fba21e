"""The providers that carry notifications: outside the bank, out of order now and then, and now and then too busy.

Which calls fail is decided by a hash of notification and attempt, so a failing one fails the same in every run.
"""

from __future__ import annotations

import hashlib

#: Of a hundred attempts, so many fail.
FAILING_PERCENT = 15

#: Of a hundred first calls, so many come when the provider has had too many, and after how long it wants the next.
BUSY_PERCENT = 2
BUSY_S = 0.1


class ProviderError(Exception):
    """The provider answered 503."""


class ProviderBusy(Exception):
    """The provider answered 429; ``retry_after_s`` is what it said with that."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.retry_after_s = BUSY_S


def send(provider: str, notification: str, *, attempt: int, start: int) -> None:
    """Hand a notification over; the provider takes one name only once, as an idempotency key.

    Args:
        provider: whom to hand it to.
        notification: its name.
        attempt: which one this is, from 1.
        start: which call this is, those that were told to wait included, from 1.

    Raises:
        ProviderBusy: it has had too many; only ever the first call.
        ProviderError: not this time.
    """
    if start == 1 and _percent(f"{provider}/{notification}") < BUSY_PERCENT:
        raise ProviderBusy(f"{provider}: 429 for {notification!r}")
    if _percent(f"{notification}/{attempt}") < FAILING_PERCENT:
        raise ProviderError(f"{provider}: 503 for {notification!r}, attempt {attempt}")


def _percent(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) % 100
