"""The tasks of batches under faults: members of which some fail, a task that fills a batch, and callbacks."""

from __future__ import annotations

import os
import signal
import time

from taskbridge import Backoff, current, open_batch, task

from .tasks import QUEUE, effect, note

#: Numbers that are no member's; ``then`` and ``on_error`` have their effects under these.
BUILDER, THEN, ERROR = 10_000_000, 10_000_001, 10_000_002

#: Of a hundred, so many fail.
FAILING = 3

#: How many are added at a time; between, the task that fills the batch may be killed.
PART = 200

#: How often it is slow.
SLOW = 2


@task(queue=QUEUE, retry=None, max_crashes=50)
def member(n: int) -> None:
    """Has its effect, or fails for good."""
    note("start", n)
    if n % 100 < FAILING:
        note("fail", n)
        raise ValueError(f"number {n}")
    effect(n)
    note("done", n)


@task(queue=QUEUE, retry=None, max_crashes=50)
def quick(n: int) -> None:
    """Does nothing, or fails for good."""
    if n % 100 < FAILING:
        raise ValueError(f"number {n}")


@task(queue=QUEUE, max_crashes=50)
def called(n: int) -> None:
    """What a batch makes."""
    note("start", n)
    effect(n)
    note("done", n)


@task(queue=QUEUE, retry=Backoff(max_retries=20, base=0.1, cap=1), max_crashes=50)
def build(total: int, seconds: float) -> None:
    """Fill a batch, part by part: the first time it dies half-way, then it is slow, then as fast as it can."""
    note("start", BUILDER)
    with open_batch(when="all_done", then=called.s(THEN), on_error=called.s(ERROR)) as b:
        for first in range(0, total, PART):
            b.enqueue_many(member, [(n,) for n in range(first, min(total, first + PART))])
            if current().starts == 1 and first >= total // 2:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(seconds if current().starts <= SLOW else 0)
    note("done", BUILDER)
