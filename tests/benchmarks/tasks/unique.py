"""The no-op task, the only one of its kind until it starts."""

from __future__ import annotations

from taskbridge import task


@task(name="bench.noop", queue="bench", unique="until_started")
def noop(user_id: int, provider_id: int) -> None: ...
