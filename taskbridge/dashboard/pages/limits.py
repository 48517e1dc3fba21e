"""The rate limits: what tasks say, what was set, and who waits; one key with those that wait at it, in turn."""

from __future__ import annotations

from typing import Any

from ...operations import limits as work
from ...operations.browse import waiters
from ..page import Look, Page


def read(look: Look) -> dict[str, Any]:
    """All limits, by name, and a page of the keys that are waited at."""
    found, keys = work.summary(look.bridge), look.bridge.store.browsing.limit_keys(look.limit, look.offset)
    return {
        "limits": found.limits,
        "looked_at": found.looked_at,
        "keys": look.part(list(keys.waiting.items()), total=keys.total),
    }


def read_key(look: Look) -> dict[str, Any]:
    """Who waits at a key."""
    key = look.query.text("key")
    found = waiters(look.bridge.store, "limit", key, limit=look.limit, offset=look.offset)
    return {"key": key, "name": key.partition(":")[0], "found": found}


PAGE = Page(name="limits", path="/limits", title="Limits", template="limits.html", read=read)
KEY = Page(
    name="limit",
    path="/limit",
    title="Limit's key",
    template="limit.html",
    read=read_key,
    menu=False,
    within="limits",
    of="key",
)
