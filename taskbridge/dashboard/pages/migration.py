"""The migration: its share, what both sides do with the same tasks, the judge's words, every step, and the buttons."""

from __future__ import annotations

from typing import Any

from ...evidence.judge import DOUBT, Verdict
from ...operations import progress as work
from ..actions.migrations import HOLD, STEPS
from ..page import Look, Page
from ..words import UNKNOWN, percent, took

#: What the judge's words are shown as, and how: good, bad or neither.
WORDS = {"better_or_equal": ("no worse", "good"), "unsure": ("not yet known", ""), "worse": ("worse", "bad")}


def read(look: Look) -> dict[str, Any]:
    """The migration of this name; without one, the one that goes on, or the last."""
    every = work.migrations(look.bridge)
    id = look.query.text("id", "")
    if not id and every:
        id = next((one for one in every if not one.ended), every[0]).id
    found = work.status(look.bridge, id=id) if id else None
    return {
        "every": every,
        "stands": found,
        "figures": figures(found.evidence.verdict) if found else [],
        "word": WORDS.get(found.evidence.verdict.word, (found.evidence.verdict.word, "")) if found else ("", ""),
        "words": WORDS,
        "ramp": {"steps": _steps_left(found.migration.share) if found else "", "hold": HOLD},
    }


def _steps_left(share: float) -> str:
    return ",".join(step for step in STEPS.split(",") if float(step) > share)


def figures(verdict: Verdict) -> list[dict[str, Any]]:
    """Each measure in words: what both sides have, the most that the new one may, and whether the judge minds."""
    old, new = verdict.old_ended, verdict.new_ended
    return [
        {
            "name": one.name,
            "old": _said(one.name, one.old, old or one.old),
            "new": _said(one.name, one.new, new or one.new),
            "most": _said(one.name, one.limit, old or one.old),
            "beyond": one.chance < DOUBT,
        }
        for one in verdict.figures
    ]


def _said(name: str, value: float, seen: float) -> str:
    """Return a figure of a side that has done something."""
    if not seen:
        return UNKNOWN
    return percent(value) if name == "failed" else took(value)


PAGE = Page(
    name="migration", path="/migration", title="Migration", template="migration.html", read=read, of="id", every_s=2.0
)
