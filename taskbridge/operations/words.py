"""Instants and spans as people say them. Units in are milliseconds; instants out are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

#: Milliseconds in a day, an hour, a minute, a second.
UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def instant(at_ms: int) -> str:
    """``2026-01-01T12:00:00.000Z``, or nothing for no instant."""
    if at_ms <= 0:
        return ""
    whole = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return whole.replace("+00:00", "Z")


def span(ms: int) -> str:
    """The two largest units: ``3 h 5 min``."""
    if ms < 1_000:
        return f"{ms} ms"
    parts = []
    for unit_ms, name in UNITS:
        if ms >= unit_ms:
            parts.append(f"{ms // unit_ms} {name}")
            ms %= unit_ms
    return " ".join(parts[:2])


def seen_from(at_ms: int, now_ms: int) -> str:
    """An instant with its distance: ``2026-01-01T12:00:00.000Z (in 3 h 5 min)``."""
    distance = f"in {span(at_ms - now_ms)}" if at_ms > now_ms else f"{span(now_ms - at_ms)} ago"
    return f"{instant(at_ms)} ({distance})"
