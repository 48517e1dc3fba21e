"""Tasks, queues and keys paused and resumed; messages, runs and chains cancelled wherever they stand."""

from __future__ import annotations

from ...operations import control as work
from ...store.control import KINDS
from ..action import Action, Deed


def pause(deed: Deed) -> str:
    form = deed.form
    kind, name, why = form.choice("kind", KINDS), form.text("name"), form.text("why", "").strip()
    work.pause(deed.bridge, kind, name, who=deed.who, why=why, anyway=form.flag("anyway"))
    return f"The {kind} {name} is paused: nothing of it begins, and what runs goes on"


def resume(deed: Deed) -> str:
    kind, name = deed.form.choice("kind", KINDS), deed.form.text("name")
    done = work.resume(deed.bridge, kind, name, who=deed.who)
    return f"The {kind} {name} is resumed: {done.waiting:,} that waited for it go on in their order"


def cancel(deed: Deed) -> str:
    form = deed.form
    why = form.text("why", "").strip()
    done = work.cancel(deed.bridge, form.text("id"), who=deed.who, kill=form.flag("kill"), why=why)
    return f"The {done.kind} {done.id} is cancelled: {done.says}"


ACTIONS = (
    Action(
        name="control.pause",
        label="Pause",
        do=pause,
        fields=("kind", "name"),
        asks="Pause the {kind} {name}? Nothing of it begins until it is resumed; what runs goes on.",
    ),
    Action(name="control.resume", label="Resume", do=resume, fields=("kind", "name")),
    Action(
        name="message.cancel",
        label="Cancel",
        do=cancel,
        fields=("id",),
        asks="Cancel {id}? It is ended wherever it waits, and never runs.",
    ),
)
