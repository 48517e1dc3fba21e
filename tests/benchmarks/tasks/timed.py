"""The no-op task with both timeouts."""

from __future__ import annotations

from taskbridge import task


@task(name="bench.noop", queue="bench", timeout=30, hard_timeout=45)
def noop(user_id: int, provider_id: int) -> None: ...
