"""The route table: its rules in their order, and who changed them."""

from __future__ import annotations

from typing import Any

from ...operations import routes as work
from ..page import Look, Page

#: How many versions are shown.
VERSIONS = 20


def read(look: Look) -> dict[str, Any]:
    """The table in force, and its last versions."""
    return {"listing": work.listed(look.bridge), "history": work.history(look.bridge, VERSIONS)}


PAGE = Page(name="routes", path="/routes", title="Routes", template="routes.html", read=read)
