"""Migrations: a share, a ramp, a pause, and the ways out."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.exceptions import BadRequest

from ...clock import milliseconds, seconds_of
from ...evidence.judge import Bounds
from ...migration.book import Migration
from ...operations import migration as work
from ..action import Action, Deed

#: What a ramp does where its form does not say.
STEPS, HOLD = "1,5,25,50,100", "2m"


def share(deed: Deed) -> str:
    percent = deed.form.fraction("percent", most=100)
    return _told(work.share(deed.bridge, percent, id=deed.form.text("id"), note=_note(deed), who=deed.who))


def ramp(deed: Deed) -> str:
    form = deed.form
    hold_ms = milliseconds(seconds_of(form.text("hold", HOLD).strip(), "hold"), "hold")
    steps = _steps(form.text("steps", STEPS))
    return _told(work.ramp(deed.bridge, steps, hold_ms, Bounds(), id=form.text("id"), note=_note(deed), who=deed.who))


def step(take: Callable[..., Migration]) -> Callable[[Deed], str]:
    """Return what takes a step of which nothing else is to be said."""
    return lambda deed: _told(take(deed.bridge, id=deed.form.text("id"), note=_note(deed), who=deed.who))


def _told(moved: Migration) -> str:
    return f"{moved} is {moved.state}, at {moved.share:g} %"


def _note(deed: Deed) -> str:
    return deed.form.text("note", "").strip()


def _steps(text: str) -> list[float]:
    try:
        return [float(word.strip().removesuffix("%")) for word in text.split(",") if word.strip()]
    except ValueError:
        raise BadRequest(f"steps: expected percents such as {STEPS}, got {text[:80]!r}") from None


ACTIONS = (
    Action(
        name="migration.share",
        label="Set the share",
        do=share,
        fields=("id", "percent"),
        asks="Send {percent} % of the messages of {id} to the new backend? It holds within a second; a ramp ends.",
    ),
    Action(
        name="migration.ramp",
        label="Ramp",
        do=ramp,
        fields=("id",),
        asks="Have the share of {id} raised step by step, by itself, as long as the new side is no worse?",
    ),
    Action(name="migration.pause", label="Pause", do=step(work.pause), fields=("id",)),
    Action(name="migration.resume", label="Resume", do=step(work.resume), fields=("id",)),
    Action(
        name="migration.rollback",
        label="Roll back",
        do=step(work.rollback),
        fields=("id",),
        asks="Take the whole share of {id} back? Within a second nobody sends to the new backend.",
    ),
    Action(
        name="migration.finish",
        label="Finish",
        do=step(work.finish),
        fields=("id",),
        asks="End the migration {id}? At 100 % its rules stay; at 0 % they are taken out.",
    ),
)
