"""The locks that messages and code hold, and one lock with who waits for it."""

from __future__ import annotations

from typing import Any

from ...operations.browse import waiters
from ...store import LockState
from ..page import Look, Page

#: How many claims are looked at for one page, in trips of so many.
TRIPS = 4


def read(look: Look) -> dict[str, Any]:
    """The locks of so many claims, and where the next page begins."""
    found: dict[str, LockState] = {}
    browsing, at, total = look.bridge.store.browsing, look.offset, 0
    for _ in range(TRIPS):  # most claims may have no lock
        page = browsing.locks(look.limit, at)
        found |= {one.key: one for one in page.locks}
        at, total = at + look.limit, page.total
        if len(found) >= look.limit or at >= total:
            break
    return {"locks": list(found.values()), "total": total, "next_offset": at if at < total else None}


def read_one(look: Look) -> dict[str, Any]:
    """Who has it and who waits for it, in turn; one that nobody has is shown as free."""
    key = look.query.text("key")
    found = waiters(look.bridge.store, "lock", key, limit=look.limit, offset=look.offset)
    return {"key": key, "lock": look.bridge.store.browsing.lock(key), "found": found}


PAGE = Page(name="locks", path="/locks", title="Locks", template="locks.html", read=read)
ONE = Page(
    name="lock", path="/lock", title="Lock", template="lock.html", read=read_one, menu=False, within="locks", of="key"
)
