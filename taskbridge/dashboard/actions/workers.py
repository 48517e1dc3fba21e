"""Workers: so many processes for a group, as many as it was started with, and the end of a worker."""

from __future__ import annotations

from ...config import MAX_PROCESSES
from ...operations import workers as work
from ..action import Action, Deed


def scale(deed: Deed) -> str:
    form = deed.form
    number = form.number("processes", most=MAX_PROCESSES)
    done = work.scale(deed.bridge, form.text("group"), number, worker=form.text("worker", ""), who=deed.who)
    return f"The group {done.group} is to have {number} processes{_where(done)}"


def reset(deed: Deed) -> str:
    form = deed.form
    done = work.reset(deed.bridge, form.text("group"), worker=form.text("worker", ""), who=deed.who)
    return f"The group {done.group} is to have as many processes as it was started with{_where(done)}"


def shutdown(deed: Deed) -> str:
    names = work.shutdown(deed.bridge, [deed.form.text("worker")], who=deed.who)
    return f"{', '.join(names)} drains, and ends then"


def _where(done: work.Scaled) -> str:
    told = f" in {', '.join(done.workers)}"
    return told + (f"; nobody serves {', '.join(done.unserved)} then" if done.unserved else "")


ACTIONS = (
    Action(
        name="workers.scale",
        label="Scale",
        do=scale,
        fields=("group", "processes"),
        asks="Have the group {group} have {processes} processes? What they run they finish first.",
    ),
    Action(name="workers.reset", label="As it was started", do=reset, fields=("group",)),
    Action(
        name="workers.shutdown",
        label="Shut down",
        do=shutdown,
        fields=("worker",),
        asks="Have the worker {worker} drain and end? Whatever started it may start another.",
    ),
)
