"""A chunked task in plain Celery: one that calls itself, and one that enqueues in a loop; noted as in chunks.py."""

from __future__ import annotations

import time

from .native_celery import app, noop


@app.task(name="bench.generate", queue="chunks")  # type: ignore[untyped-decorator]
def generate(path: str) -> None:
    begun_s = time.perf_counter()
    for user in range(5_000):
        noop.delay(user_id=user, provider_id=1)
    _note(path, 5_000 / (time.perf_counter() - begun_s))


@app.task(name="bench.step", queue="chunks")  # type: ignore[untyped-decorator]
def step(path: str, number: int = 0) -> None:
    _note(path, time.monotonic_ns() / 1e6)
    if number < 499:
        step.delay(path=path, number=number + 1)


def _note(path: str, figure: float) -> None:
    with open(path, "a", encoding="ascii") as lines:
        lines.write(f"{figure:.4f}\n")


starts = {"generate": generate.delay, "step": step.delay}
