"""Schedules: paused, let on, and run at once."""

from __future__ import annotations

from ...operations import schedules as work
from ...operations.words import instant
from ..action import Action, Deed


def pause(deed: Deed) -> str:
    name = deed.form.text("name")
    work.pause(deed.bridge.store, name, who=deed.who)
    return f"The schedule {name} is paused: it ticks no more"


def resume(deed: Deed) -> str:
    name = deed.form.text("name")
    tick_ms = work.resume(deed.bridge.store, name, who=deed.who)
    return f"The schedule {name} goes on" + (f"; it ticks next at {instant(tick_ms)}" if tick_ms else "")


def run_now(deed: Deed) -> str:
    name = deed.form.text("name")
    id, created = work.run_now(deed.bridge, name, who=deed.who)
    return f"{name} is enqueued as {id}" if created else f"{name} was enqueued before as {id}, which has not ended"


ACTIONS = (
    Action(name="schedule.pause", label="Pause", do=pause, fields=("name",)),
    Action(name="schedule.resume", label="Resume", do=resume, fields=("name",)),
    Action(
        name="schedule.run",
        label="Run now",
        do=run_now,
        fields=("name",),
        asks="Enqueue what a tick of {name} would, at once? Its ticks stay as they are.",
    ),
)
