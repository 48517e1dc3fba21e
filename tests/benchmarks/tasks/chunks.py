"""A chunked task that enqueues, and one that does nothing: each chunk notes what is measured in the file it is told."""

from __future__ import annotations

import time

from taskbridge import Chunk, chunked, ids, task

from .bridged import noop


@task(name="bench.generate", queue="chunks")
@chunked(over=ids(0, 60_000), size=20_000)
def generate(chunk: Chunk[int], path: str) -> None:
    """Enqueue 20,000 calls; note how many a second. Nobody runs them."""
    begun_s = time.perf_counter()
    noop.enqueue_many({"user_id": user, "provider_id": 1} for user in chunk)
    _note(path, len(chunk) / (time.perf_counter() - begun_s))


@task(name="bench.step", queue="chunks")
@chunked(over=ids(0, 500), size=1)
def step(chunk: Chunk[int], path: str) -> None:
    """Note when it began, ms."""
    _note(path, time.monotonic_ns() / 1e6)


def _note(path: str, figure: float) -> None:
    with open(path, "a", encoding="ascii") as lines:
        lines.write(f"{figure:.4f}\n")


starts = {"generate": generate.enqueue, "step": step.enqueue}
