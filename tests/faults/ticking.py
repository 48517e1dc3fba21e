"""A task that runs each second by itself. Apart from the others: it would be in their way."""

from __future__ import annotations

from taskbridge import current, every, task

from .tasks import QUEUE, effect, note


@task(queue=QUEUE, schedule=every(seconds=1, missed="all", name="ticking"))
def tick() -> None:
    """Has an effect, in the inbox's transaction; its number is the second that it ticks for."""
    n = int(current().id.partition("@")[2]) // 1000
    note("start", n)
    effect(n)
    note("done", n)
