"""The tasks of ``LedgerCases``: of those that want no ledger."""

from __future__ import annotations

from typing import Any

from ..bridge import Bridge
from ..current import current
from ..errors import Reschedule
from ..policies.retry import Backoff
from ..task import Task
from .suite_notes import QUEUE, note


def light(n: int, fails: int = 0) -> int:
    """Fail so many times, then return ``n``."""
    me = current()
    note("light", n=n, fence=me.fencing_token)
    if me.attempt <= fails:
        raise ValueError(f"attempt {me.attempt}")
    return n


def light_polls(left: int) -> None:
    """Ask to be run again until nothing is left."""
    note("light_polls", left=left)
    if left:
        raise Reschedule(after=0.01, kwargs={"left": left - 1})


def declare_unrecorded(bridge: Bridge) -> dict[str, Task[..., Any]]:
    """Declare them on a bridge; returns them by name."""
    retry = Backoff(max_retries=2, base=0.01)
    return {
        function.__name__: bridge.task(
            name=f"suite.{function.__name__}", queue=QUEUE, retry=retry, unknown_args="fail", ledger=False
        )(function)
        for function in (light, light_polls)
    }
