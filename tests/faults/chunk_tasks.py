"""A chunked task of the fault tests, over as many numbers as ``FAULTS_TOTAL`` says when a run starts."""

from __future__ import annotations

import os
import time

from taskbridge import Backoff, Chunk, chunked, ids, task

from .tasks import QUEUE, note, once

#: A chunk's number is noted as this and itself, for the numbers below are those of the messages.
CHUNKS = 10_000_000


@task(queue=QUEUE, retry=Backoff(max_retries=20, base=0.1, cap=1), max_crashes=20)
@chunked(over=ids(0, lambda: int(os.environ["FAULTS_TOTAL"])), size=10, max_backlog=40)
def generate(chunk: Chunk[int], seconds: float) -> None:
    """Enqueue each number, in two parts, so that it may die between."""
    note("start", CHUNKS + chunk.number)
    numbers = list(chunk)
    once.enqueue_many({"n": n, "seconds": 0.0} for n in numbers[:5])
    time.sleep(seconds)
    once.enqueue_many({"n": n, "seconds": 0.0} for n in numbers[5:])
    note("done", CHUNKS + chunk.number)


@task(queue=QUEUE)
@chunked(over=ids(0, lambda: int(os.environ["FAULTS_TOTAL"])), size=1_000)
def walk(chunk: Chunk[int], seconds: float) -> None:
    """Note each number, and take a while over it."""
    for n in chunk:
        note("start", n)
        time.sleep(seconds)
        note("done", n)
