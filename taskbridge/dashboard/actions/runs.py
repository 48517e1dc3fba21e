"""Runs of chunked tasks: paused, let on, cancelled."""

from __future__ import annotations

from collections.abc import Callable

from ...operations import runs as work
from ..action import Action, Deed


def steer(do: Callable[..., work.Run], says: str) -> Callable[[Deed], str]:
    """Return what does this to a run, and says so."""

    def done(deed: Deed) -> str:
        run = do(deed.bridge.store, deed.form.text("id"), who=deed.who)
        return f"The run {run.state.id} {says.format(word=run.word)}: {run.why}"

    return done


ACTIONS = (
    Action(name="run.pause", label="Pause", do=steer(work.pause, "is {word}"), fields=("id",)),
    Action(name="run.resume", label="Resume", do=steer(work.resume, "goes on"), fields=("id",)),
    Action(
        name="run.cancel",
        label="Cancel",
        do=steer(work.cancel, "is {word}"),
        fields=("id",),
        asks="Cancel the run {id}? It ends where it is; what it has enqueued stays.",
    ),
)
