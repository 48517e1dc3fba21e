"""Hooks, middleware and the tasks that have them, for ``HookCases``. They note what is called, for these tasks only."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ..bridge import Bridge
from ..current import Current, current
from ..errors import Drop, Reschedule
from ..hooks import CallNext, Middleware
from ..outcome import Outcome
from ..policies.retry import Backoff
from ..task import Task
from .suite_notes import NOTES, QUEUE, append, note

#: The tasks that are watched.
PREFIX = "suite.hooked"

#: What middleware sets and the task reads.
tenant: ContextVar[str] = ContextVar("tenant", default="")


def noting(name: str) -> Middleware:
    """Note on the way in and on the way out."""

    def layer(call_next: CallNext, current: Current) -> Any:
        note(f"{name} in")
        try:
            return call_next()
        finally:
            note(f"{name} out")

    return layer


def with_tenant(call_next: CallNext, current: Current) -> Any:
    """Set a context for the task, sync or async."""
    token = tenant.set("bank")
    try:
        return call_next()
    finally:
        tenant.reset(token)


def drops(call_next: CallNext, current: Current) -> None:
    raise Drop("closed on Sundays")


def waits(call_next: CallNext, current: Current) -> Any:
    if current.starts == 1:
        raise Reschedule(after=0.01)
    return call_next()


def answers(call_next: CallNext, current: Current) -> str:
    return "answered without the task"


def hooked(times: int = 0) -> None:
    """Fail so many times, then succeed."""
    note("task", tenant=tenant.get())
    if current().attempt <= times:
        raise ValueError(f"attempt {current().attempt}")


async def hooked_awaits() -> None:
    note("task", tenant=tenant.get())


def hooked_plain() -> None:
    note("task")


def hooked_stopped() -> None:
    note("task")


def hooked_broken() -> None:
    note("task")


def hooked_dropped() -> None:
    note("task")


def hooked_waits() -> None:
    note("task")


def hooked_answered() -> None:
    note("task")


#: The middleware of each task.
TASKS: dict[Callable[..., Any], list[Middleware]] = {
    hooked: [with_tenant, noting("outer"), noting("inner")],
    hooked_awaits: [with_tenant, noting("outer"), noting("inner")],
    hooked_plain: [],
    hooked_stopped: [],
    hooked_broken: [],
    hooked_dropped: [drops],
    hooked_waits: [waits],
    hooked_answered: [answers],
}


def declare_hooked(bridge: Bridge) -> dict[str, Task[..., Any]]:
    """Declare hooks, middleware and tasks on a bridge; returns the tasks by name."""
    _declare_hooks(bridge)
    bridge.middleware(_noted(noting("bridge")))
    quick = Backoff(max_retries=2, base=0.01)
    return {
        function.__name__: bridge.task(
            name=f"suite.{function.__name__}", queue=QUEUE, retry=quick, middleware=middleware
        )(function)
        for function, middleware in TASKS.items()
    }


def _declare_hooks(bridge: Bridge) -> None:
    @bridge.on_worker_start
    def started() -> None:
        if NOTES in os.environ:  # else it is another test's worker, of this process
            append({"what": "started", "id": ""})

    for name in ("first", "second"):
        _declare_named(bridge, name)

    @bridge.before_task
    def stops(current: Current) -> None:
        if current.task == "suite.hooked_stopped" and current.attempt == 1:
            raise ConnectionError("before the task")

    @bridge.on_failure
    def failed(current: Current, error: BaseException, final: bool) -> None:
        if current.task.startswith(PREFIX):
            note("failure", error=str(error), final=final)

    @bridge.after_task
    @bridge.on_failure
    def breaks(current: Current, *_: object) -> None:
        if current.task == "suite.hooked_broken":
            raise OSError("in a hook that looks on")


def _declare_named(bridge: Bridge, name: str) -> None:
    @bridge.before_task
    def before(current: Current) -> None:
        if current.task.startswith(PREFIX):
            note(f"before {name}")

    @bridge.after_task
    def after(current: Current, outcome: Outcome) -> None:
        if current.task.startswith(PREFIX):
            note(f"after {name}", outcome=type(outcome).__name__)


def _noted(layer: Middleware) -> Middleware:
    """Only around the tasks that are watched."""
    return lambda call_next, me: layer(call_next, me) if me.task.startswith(PREFIX) else call_next()
