"""A task that notes which engine it ran on. Imported by workers only."""

from __future__ import annotations

from taskbridge import current, default_bridge, task
from taskbridge.operations.depths import backend_of

from .tasks import QUEUE, effect, note


@task(queue=QUEUE, tags=["routed"])
def routed(n: int, user_id: int) -> None:
    """Has an effect, and notes the backend of its claim."""
    note("start", n)
    record = default_bridge.store.messages.look(current().id)
    assert record is not None
    note(backend_of(record.claim), n)
    effect(n)
    note("done", n)
