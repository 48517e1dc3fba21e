"""A task that waits for a millisecond, as for one answer of a database; filled into the queue as the no-op task is."""

from __future__ import annotations

import time

from taskbridge import task

WAIT_S = 0.001


@task(name="bench.wait", queue="bench")
def noop(user_id: int, provider_id: int) -> None:
    time.sleep(WAIT_S)


send_noop = noop.enqueue
