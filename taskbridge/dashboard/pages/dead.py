"""The dead letters, by task, queue and reason."""

from __future__ import annotations

from typing import Any

from ...operations.browse import Wanted, browse
from ..page import Look, Page


def read(look: Look) -> dict[str, Any]:
    """A page of them, the newest first."""
    names = ("queue", "task", "why")
    wanted = Wanted(**{name: look.query.text(name, "").strip() for name in names})
    found = browse(look.bridge.store, "dead", wanted, limit=look.limit, offset=look.offset)
    return {"found": found, "wanted": wanted}


PAGE = Page(name="dead", path="/dead", title="Dead letters", template="dead.html", read=read)
