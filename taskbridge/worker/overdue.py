"""Settle a task whose child was ended at its hard timeout, as the child has said beforehand.

A failed attempt, not a crash. A supervisor that dies before it could tell leaves a claim that lapses: then it is one.
"""

from __future__ import annotations

from functools import partial

from ..bridge import Bridge
from ..errors import HardTimeout
from ..events import Dropped, Event, Failed, Retried
from ..policies.timeout import Overdue
from ..store import Finish
from .slots import Running


def fail(one: Running, overdue: Overdue, bridge: Bridge, worker: str) -> bool:
    """Tell the store, then listeners; False when that claim did not stand. May be repeated."""
    finish = Finish(
        id=one.id,
        claim=one.claim,
        state=overdue.state,
        counted=overdue.counted,
        due_ms=overdue.due_ms,
        why=overdue.why,
        traceback=f"{overdue.why}\nThe stacks of its threads are in the log of the worker {worker}.\n",
    )
    answer = bridge.store.claims.finish(finish)
    if answer == "cancelled":
        ended = partial(Dropped, how="cancelled", why=f"cancelled; it was left so: {overdue.why}")
        told = ended(id=one.id, task=overdue.task, queue=overdue.queue, backend=one.backend, attempt=overdue.attempt)
        bridge.events.emit(told)
        return True
    if answer not in ("ok", "mine"):
        return False
    ran_ms = (bridge.clock.monotonic_s() - one.since_s) * 1000
    bridge.events.emit(_told(one, overdue, ran_ms))
    return True


def _told(one: Running, overdue: Overdue, ran_ms: float) -> Event:
    failed = partial(Failed, error=HardTimeout(overdue.why))
    kind = partial(
        failed if overdue.state == "DEAD" else partial(Retried, after_ms=overdue.due_ms, counted=overdue.counted),
        id=one.id,
        task=overdue.task,
        queue=overdue.queue,
        backend=one.backend,
    )
    return kind(attempt=overdue.attempt, why=overdue.why, ran_ms=ran_ms)
