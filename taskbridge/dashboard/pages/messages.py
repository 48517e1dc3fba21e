"""Messages that the store keeps, by state, queue and task."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ...operations.browse import SHELVES, Wanted, browse
from ...store.browsing import Shelf
from ..page import Look, Page


def read(look: Look) -> dict[str, Any]:
    """A page of a shelf; ``counts`` are of the whole store."""
    query = look.query
    shelf: Shelf = next(one for one in SHELVES if one == query.choice("shelf", SHELVES, "running"))
    wanted = Wanted(queue=query.text("queue", "").strip(), task=query.text("task", "").strip())
    found = browse(look.bridge.store, shelf, wanted, limit=look.limit, offset=look.offset)
    counts: Counter[str] = Counter()
    for (_, state), number in look.bridge.store.messages.counts().items():
        counts[state.lower()] += number
    return {"found": found, "shelf": shelf, "shelves": SHELVES, "wanted": wanted, "counts": counts}


PAGE = Page(name="messages", path="/messages", title="Messages", template="messages.html", read=read)
