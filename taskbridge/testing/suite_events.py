"""Listeners and the tasks they hear of, for ``EventCases``. They note what they are told, of these tasks only."""

from __future__ import annotations

import threading
from typing import Any

from ..bridge import Bridge
from ..current import current, running_here
from ..events import Event, Failed, Received, Retried, Started, Succeeded
from ..policies.retry import Backoff
from ..task import Task
from .suite_notes import QUEUE, append, note

#: The tasks that are heard of.
PREFIX = "suite.heard"


def heard(times: int = 0) -> None:
    """Fail so many times, then succeed."""
    note("task")
    if current().attempt <= times:
        raise ValueError(f"attempt {current().attempt}")


def heard_badly() -> None:
    """Be heard of by listeners that fail and hang, too."""
    note("task")


def declare_heard(bridge: Bridge) -> dict[str, Task[..., Any]]:
    """Declare listeners and tasks on a bridge; returns the tasks by name."""
    _declare_bad_listeners(bridge)

    @bridge.subscribe(Received, Started, Succeeded, Retried, Failed)
    def hear(event: Event) -> None:
        if event.task.startswith(PREFIX):
            kind, inside = type(event).__name__, running_here() is not None
            append({"what": "heard", "id": event.id, "kind": kind, "attempt": event.attempt, "inside": inside})

    @bridge.subscribe(Failed)
    def hear_failures(event: Failed) -> None:
        if event.task.startswith(PREFIX):
            append({"what": "heard failure", "id": event.id, "error": repr(event.error), "then_ms": event.at_ms})

    quick = Backoff(max_retries=1, base=0.01)
    return {
        function.__name__: bridge.task(name=f"suite.{function.__name__}", queue=QUEUE, retry=quick)(function)
        for function in (heard, heard_badly)
    }


def _declare_bad_listeners(bridge: Bridge) -> None:
    @bridge.subscribe
    def fails(event: Event) -> None:
        if event.task == "suite.heard_badly":
            raise OSError("in a listener")

    @bridge.subscribe
    def hangs(event: Event) -> None:
        if event.task == "suite.heard_badly":
            threading.Event().wait()
