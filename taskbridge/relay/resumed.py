"""Let go on what waited for a task, a queue or a key that was resumed, some at a time, whoever has resumed it."""

from __future__ import annotations

from dataclasses import dataclass

from ..store import Store

#: How many messages go on in one trip: the store serves others between two.
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class LetOnResumed:
    """The duty towards pauses that are over. Whoever is let on is published by the duty that comes next."""

    store: Store

    def __call__(self) -> int:
        return self.store.control.let_on(BATCH)[0]
