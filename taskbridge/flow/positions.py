"""Cursors of a run, read without its task: how much of the range comes before one."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from ..chunking import Bounds
from ..errors import ConfigError
from .intervals import EPOCH, Dates, Ids, Interval, Times

#: Ranges whose bounds say all of them; what they are over is in the bounds of the run.
_READERS: dict[str, Interval[Any]] = {
    one.kind: one for one in (Ids(0, 0, 1), Dates(date.min, date.min, 1), Times(EPOCH, EPOCH, 0))
}


def done_before(bounds: Bounds, at: msgspec.Raw) -> int | None:
    """Return how much of a range comes before a cursor; None where only the range's function knows.

    Raises:
        DecodeError: the cursor is none of this kind.
        ConfigError: it is not within the bounds.
    """
    reader = _READERS.get(bounds.kind)
    if reader is None:
        return None
    done = reader.done(bounds, at)
    if bounds.total is None or 0 <= done < bounds.total:
        return done
    start, stop = bytes(bounds.start).decode(), bytes(bounds.stop).decode()
    raise ConfigError(f"expected a cursor from {start} up to and without {stop}, got {bytes(at).decode()}")
