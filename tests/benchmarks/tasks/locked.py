"""The no-op task under a lock of its own."""

from __future__ import annotations

from taskbridge import Lock, task


@task(name="bench.noop", queue="bench", lock=Lock("user:{user_id}"))
def noop(user_id: int, provider_id: int) -> None: ...
