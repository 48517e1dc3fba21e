"""The schedules: when each ticks next, what became of the last tick, what was set."""

from __future__ import annotations

from typing import Any

from ...operations import schedules as work
from ..page import Look, Page


def read(look: Look) -> dict[str, Any]:
    """By name."""
    return {"part": look.part(work.schedules(look.bridge.store, look.limit + 1, look.offset))}


PAGE = Page(name="schedules", path="/schedules", title="Schedules", template="schedules.html", read=read)
