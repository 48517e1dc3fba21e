"""The tasks of ``ShadowCases``: what they do is noted, whether a copy did it or not."""

from __future__ import annotations

from typing import Any

from ..bridge import Bridge
from ..clock import SystemClock
from ..current import current
from ..flow.chain import chain
from ..policies.lock import Lock
from ..policies.retry import Backoff
from ..task import Task
from .suite_notes import QUEUE, note

_clock = SystemClock()


def shadowed(n: int, fails: str = "") -> int:
    """Return ``n``, or fail where it is told: in a ``copy``, or in ``both``."""
    me = current()
    note("shadowed", n=n, shadow=me.shadow, fence=me.fencing_token)
    if fails == "both" or (fails == "copy" and me.shadow):
        raise ValueError(f"in {fails}")
    return n


def lingers(seconds: float) -> None:
    """Take so long."""
    note("lingers")
    _clock.sleep(seconds)


def undeclared(n: int) -> None:
    """Be no task that may run twice."""
    note("undeclared", n=n)


def declare_shadowed(bridge: Bridge) -> dict[str, Task[..., Any]]:
    """Declare them on a bridge; returns them by name."""
    retry = Backoff(max_retries=2, base=0.01)
    locked: dict[str, Any] = {"retry": retry, "lock": Lock("suite:shadowed:{n}"), "shadow_safe": True}
    once = bridge.task(name="suite.shadowed", queue=QUEUE, **locked)(shadowed)

    def sends(n: int) -> list[bool]:
        """Enqueue something in each way that there is, and try what a shadow may not."""
        first = once.enqueue(n)
        many = once.enqueue_many((m,) for m in range(3))
        later = once.using(delay=3600).enqueue(n)
        linked = chain(once.si(n), once.si(n)).enqueue()
        refused = []
        for forbidden in (
            lambda: bridge.lock("suite:any", timeout=0).__enter__(),
            lambda: bridge.open_batch().__enter__(),
        ):
            try:
                forbidden()
                refused.append("")
            except Exception as error:
                refused.append(type(error).__name__)
        ids = [first.id, later.id, linked.id]
        note("sends", ids=ids, many=many.created, refused=refused)
        return [first.created, later.created, linked.created]

    return {
        "shadowed": once,
        "sends": bridge.task(name="suite.sends", queue=QUEUE, retry=retry, shadow_safe=True)(sends),
        "lingers": bridge.task(name="suite.lingers", queue=QUEUE, retry=retry, shadow_safe=True)(lingers),
        "undeclared": bridge.task(name="suite.undeclared", queue=QUEUE, retry=retry)(undeclared),
    }
