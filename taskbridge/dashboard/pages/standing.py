"""How everything stands, as the watch has it: what several pages show a part of."""

from __future__ import annotations

from ...errors import StoreUnavailable
from ...operations.overview import Overview
from ..page import Look

#: Numbers that are older than this are not shown any more, seconds: the store is away.
OLDEST_S = 10.0


def standing(look: Look) -> Overview:
    """Return the overview; its problems tell of a store that is slow to answer.

    Raises:
        StoreUnavailable: the store has not answered for a while, or never.
    """
    seen = look.watch.look()
    if seen.old.get("store", 0.0) > OLDEST_S:
        raise StoreUnavailable("; ".join(seen.problems) or "the store does not answer")
    return seen
