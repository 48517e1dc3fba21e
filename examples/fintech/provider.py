"""The provider that carries notifications: outside the bank, and out of order now and then.

Which attempts fail is decided by a hash of notification and attempt, so a failing one fails the same in every run.
"""

from __future__ import annotations

import hashlib

#: Of a hundred calls, so many fail.
FAILING_PERCENT = 15


class ProviderError(Exception):
    """The provider answered 503."""


def send(notification: str, *, attempt: int) -> None:
    """Hand a notification over; the provider takes one name only once, as an idempotency key.

    Raises:
        ProviderError: not this time.
    """
    digest = hashlib.sha256(f"{notification}/{attempt}".encode()).digest()
    if int.from_bytes(digest[:4]) % 100 < FAILING_PERCENT:
        raise ProviderError(f"503 for {notification!r}, attempt {attempt}")
