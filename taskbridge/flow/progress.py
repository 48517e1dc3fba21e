"""What is told of a batch: when it was enqueued, and while it runs."""

from __future__ import annotations

import msgspec

from ..store import Store


class BatchReceipt(msgspec.Struct, frozen=True):
    """What ``batch(...).enqueue()`` returns: the batch's id, how many members it made, and how many calls made none.

    ``existing`` counts what was there already: in a repeat of its task, and of unique calls.
    """

    id: str
    created: int
    existing: int = 0


class BatchProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a batch is: ``total`` members, of which some are ``open`` and the others ended.

    ``dropped`` have ended undone without an error: expired, skipped, dropped by their task, purged from their queue.
    ``sealed`` says that no more are coming.
    """

    id: str
    total: int
    open: int
    done: int
    failed: int
    dropped: int
    sealed: bool

    @property
    def complete(self) -> bool:
        """Whether no more are coming and all have ended; a dead member that is replayed undoes it."""
        return self.sealed and self.open == 0


def progress_of(id: str, store: Store) -> BatchProgress | None:
    """Return how far a batch is; None when there is none, or it is forgotten."""
    found = store.batches.look(id)
    if found is None:
        return None
    counts = {name: getattr(found, name) for name in ("total", "open", "done", "failed", "dropped", "sealed")}
    return BatchProgress(id=id, **counts)
