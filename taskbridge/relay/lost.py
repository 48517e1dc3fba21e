"""Bring back what is in nobody's hands: claims that lapsed, and what lies on the shelves of workers that are gone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..backend import Keeper
from ..store import Store

log = logging.getLogger("taskbridge.relay")

#: How many claims are taken back at a time.
BATCH = 100


@dataclass(frozen=True, slots=True)
class SweepClaims:
    """The duty of taking lapsed claims back; the messages become ready, or die of it, which ``tell`` looks at."""

    store: Store
    tell: Callable[[Sequence[str]], None] = lambda _ids: None

    def __call__(self) -> int:
        lost = self.store.claims.sweep(BATCH)
        for id in lost:
            log.warning("the claim on %s lapsed: it runs again", id)
        self.tell(lost)
        return len(lost)


@dataclass(frozen=True, slots=True)
class SweepShelves:
    """The duty of giving back what a worker fetched that shows no life."""

    keepers: Sequence[Keeper]

    def __call__(self) -> int:
        back = sum(keeper.sweep() for keeper in self.keepers)
        if back:
            log.warning("%d messages that a lost worker had fetched are back in their queues", back)
        return 0
