"""Rate limits: another rate, a pause, and back to what the task says."""

from __future__ import annotations

from collections.abc import Callable

from ...operations import limits as work
from ..action import Action, Deed


def set_rate(deed: Deed) -> str:
    name, rate = deed.form.text("name"), deed.form.text("rate").strip()
    work.set_rate(deed.bridge.store, name, rate, deed.form.number("burst", 0, most=1_000_000), who=deed.who)
    return f"{name} is {rate} now, whatever its task says"


def change(do: Callable[..., object], says: str) -> Callable[[Deed], str]:
    """Return what does this to a limit, and says so."""

    def done(deed: Deed) -> str:
        name = deed.form.text("name")
        do(deed.bridge.store, name, who=deed.who)
        return f"{name} {says}"

    return done


ACTIONS = (
    Action(name="limit.set", label="Set", do=set_rate, fields=("name", "rate")),
    Action(
        name="limit.pause", label="Pause", do=change(work.pause, "is paused: nobody starts at it"), fields=("name",)
    ),
    Action(name="limit.resume", label="Resume", do=change(work.resume, "goes on"), fields=("name",)),
    Action(name="limit.reset", label="Reset", do=change(work.reset, "is what its task says"), fields=("name",)),
)
