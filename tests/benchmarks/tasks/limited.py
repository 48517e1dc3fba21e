"""The no-op task under a limit above what it reaches."""

from __future__ import annotations

from taskbridge import RateLimit, task


@task(name="bench.noop", queue="bench", rate_limit=RateLimit("1000/s", key="{user_id}"))
def noop(user_id: int, provider_id: int) -> None: ...
