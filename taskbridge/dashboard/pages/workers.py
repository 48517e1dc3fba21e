"""The workers that announce themselves: what each is, and what its processes run."""

from __future__ import annotations

from typing import Any

from ...operations.workers import workers
from ..page import Look, Page


def read(look: Look) -> dict[str, Any]:
    """By name."""
    return {"part": look.part_of(workers(look.bridge))}


PAGE = Page(name="workers", path="/workers", title="Workers", template="workers.html", read=read)
