"""All queues, each with its places in the engines and what the store keeps of it."""

from __future__ import annotations

from typing import Any

from ...operations.gauges import ON_ITS_WAY
from ..page import Look, Page
from .standing import standing


def read(look: Look) -> dict[str, Any]:
    """The queues of the overview, those whose name has a part."""
    seen, part = standing(look), look.query.text("part", "").strip()
    found = [one for one in seen.queues if part.casefold() in one.name.casefold()]
    rows = look.part_of(sorted(found, key=lambda one: one.name))
    return {"part": rows, "name": part, "states": (*ON_ITS_WAY, "dead"), "problems": seen.problems}


PAGE = Page(name="queues", path="/queues", title="Queues", template="queues.html", read=read)
