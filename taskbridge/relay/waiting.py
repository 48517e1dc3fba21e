"""Let go on what waits for a turn at a limit; pass on the locks that are reserved for one who does not come."""

from __future__ import annotations

from dataclasses import dataclass

from ..store import Store

#: How many keys are looked at in one trip.
BATCH = 100


@dataclass(frozen=True, slots=True)
class LetOut:
    """The duty towards limits and reserved locks. Whoever is let on is published by the duty that comes next."""

    store: Store

    def __call__(self) -> int:
        return self.store.waiting.let_out(BATCH)
