"""The benchmark's task that does nothing, without a ledger: with the guarantees that its engine has by itself."""

from __future__ import annotations

from taskbridge import task


@task(name="bench.noop", queue="bench", ledger=False)
def noop(user_id: int, provider_id: int) -> None: ...


send_noop = noop.enqueue
