"""The runs of chunked tasks: how far each is, and one of them in full."""

from __future__ import annotations

from typing import Any

from ...operations import runs as work
from ..page import Look, Page


def read(look: Look) -> dict[str, Any]:
    """Those that go on first."""
    return {"part": look.part(work.runs(look.bridge.store, look.limit + 1, look.offset)), "amount": work.amount}


def read_one(look: Look) -> dict[str, Any]:
    """One run."""
    found = work.look(look.bridge.store, look.query.text("id"))
    return {"run": found, "progress": work.progress(found), "next_due": work.next_due(found), "amount": work.amount}


PAGE = Page(name="runs", path="/runs", title="Runs", template="runs.html", read=read, every_s=2.0)
ONE = Page(
    name="run",
    path="/run",
    title="Run",
    template="run.html",
    read=read_one,
    menu=False,
    within="runs",
    of="id",
    every_s=2.0,
)
