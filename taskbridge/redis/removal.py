"""Delete many keys of a Redis without holding it up."""

from __future__ import annotations

from .server import Server

#: How many keys are looked at in one trip.
BULK = 1_000


def remove_keys(server: Server, pattern: str) -> int:
    """Delete every key that a glob fits; returns how many. What is written meanwhile may stay.

    Raises:
        StoreUnavailable: no answer; some of them may be gone.
    """
    removed, cursor = 0, b"0"
    while True:
        cursor, keys = server.call("SCAN", cursor, "MATCH", pattern, "COUNT", BULK)
        if keys:
            removed += int(server.call("UNLINK", *keys))
        if int(cursor) == 0:
            return removed
