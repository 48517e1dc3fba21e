"""The tasks of ``BatchCases``: one that fills a batch, and fails or dies in the middle of it."""

from __future__ import annotations

from typing import Any

from ..bridge import Bridge
from ..current import current
from ..policies.retry import Backoff
from ..task import Task
from .suite_notes import QUEUE, note


def declare_batches(bridge: Bridge, tasks: dict[str, Task[..., Any]]) -> dict[str, Task[..., Any]]:
    """Declare them on a bridge; ``tasks`` are the members' and the callback's."""

    @bridge.task(name="suite.builds", queue=QUEUE, retry=Backoff(max_retries=3, base=0.01))
    def builds(text: str, members: int) -> None:
        with bridge.open_batch(then=tasks["plain"].s(members, f"{text} then")) as b:
            note("builds", batch=b.id)
            b.add(tasks["plain"].s(0, text))
            if current().attempt == 1:
                raise ConnectionError("before the others")
            b.enqueue_many(tasks["plain"], [(n, text) for n in range(1, members)])
            if current().attempt == 2:
                raise ConnectionError("before it is closed")
        if current().attempt == 3:
            raise ConnectionError("when it is closed")

    return {"builds": builds}
