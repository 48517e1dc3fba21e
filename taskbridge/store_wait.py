"""What the store waits for before it counts as told: nothing, a replica, or its disk.

Where broker and store are two servers, an acknowledgement lets the broker forget a message that only the store knows
of then. What the store's own failover or crash would take back must not be acknowledged.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from .clock import Span, milliseconds
from .errors import ConfigError

Kind = Literal["replica", "aof"]

#: How long one wait takes at most, seconds: a file that is on disk each second (``appendfsync everysec``) has its time.
TIMEOUT_S = 3.0

#: The longest that may be set, seconds: an answer that takes 5 s (``redis/server.py``) is given up with its connection.
LONGEST_S = 4.0


class StoreWait(msgspec.Struct, frozen=True, kw_only=True):
    """What is waited for, and how long at most."""

    kind: Kind
    timeout_ms: int


def store_wait_of(kind: str, timeout: Span) -> StoreWait | None:
    """Return what is to be waited for; None for nothing.

    Args:
        kind: ``replica``, ``aof``, or nothing.
        timeout: how long one wait takes at most, seconds or timedelta.

    Raises:
        ConfigError: another word, or a span that is not of 1 ms to 4 s.
    """
    timeout_ms = milliseconds(timeout, "store_wait_timeout")
    if not 1 <= timeout_ms <= LONGEST_S * 1000:
        raise ConfigError(f"store_wait_timeout: expected 0.001 to {LONGEST_S:g} seconds, got {timeout!r}")
    for known in get_args(Kind):
        if kind == known:
            return StoreWait(kind=known, timeout_ms=timeout_ms)
    if kind:
        raise ConfigError(f"store_wait: expected {' or '.join(get_args(Kind))}, or nothing, got {kind!r}")
    return None
