"""Work of every kind that notes which engine it ran on. Imported by workers only."""

from __future__ import annotations

import os
import random
import time

from taskbridge import Backoff, Chunk, RateLimit, chunked, current, default_bridge, ids, task
from taskbridge.operations.depths import backend_of

from .tasks import QUEUE, counted, effect, note, paced

__all__ = ["counted", "paced"]

#: The numbers of the run begin here, and those of its chunks.
RUN, CHUNKS = 10_000_000, 20_000_000


def ran(n: int) -> None:
    """Note the start and the backend of the claim; whether another process had begun it, and whether the store has
    handed it out anew: after a crash, a drain, or an attempt that the store's absence made fail."""
    record = default_bridge.store.messages.look(current().id)
    assert record is not None
    note("start", n)
    note(backend_of(record.claim), n)
    if record.crashes:
        note("again", n)
    if record.seq > 1:
        note("rerouted", n)


@task(queue=QUEUE, max_crashes=50)
def moved(n: int, user_id: int, seconds: float = 0.003) -> None:
    """Has an effect."""
    ran(n)
    time.sleep(seconds)
    effect(n)
    note("done", n)


@task(queue=QUEUE, retry=Backoff(max_retries=50, base=20, cap=20), max_crashes=50)
def failing(n: int, user_id: int) -> None:
    """Fails once, then has its effect."""
    if current().attempt == 1:
        note("fail", n)
        raise ConnectionError("once")
    moved(n, user_id)


@task(queue=QUEUE, max_crashes=50)
def linked(n: int, user_id: int, seconds: float = 0.003) -> int:
    """Has an effect, and gives the next number on."""
    moved(n, user_id, seconds)
    return n + 1


@task(queue=QUEUE, rate_limit=RateLimit("20/s", name="slowly"), max_crashes=50)
def limited(n: int, user_id: int) -> None:
    """Waits for its turn."""
    moved(n, user_id)


@task(queue=QUEUE, retry=Backoff(max_retries=50, base=0.1, cap=1), max_crashes=50)
@chunked(over=ids(RUN, lambda: RUN + int(os.environ["FAULTS_TOTAL"])), size=20, max_backlog=200)
def generate(chunk: Chunk[int], pause_s: float) -> None:
    """Enqueue each number."""
    ran(CHUNKS + chunk.number)
    time.sleep(pause_s)
    moved.enqueue_many({"n": n, "user_id": n} for n in chunk)
    note("done", CHUNKS + chunk.number)


@task(queue=QUEUE, retry=None)
def judged(n: int, user_id: int) -> None:
    """Takes as long, and fails as often, as its worker was told."""
    time.sleep(random.lognormvariate(0.0, 0.3) * float(os.environ["FAULTS_SECONDS"]))
    if random.random() < float(os.environ["FAULTS_FAILURES"]):
        raise ConnectionError("as often as was told")
