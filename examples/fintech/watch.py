"""How far an import is, seen from its database: the stages of a run, and the one who waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable

from . import memory
from .database import Database
from .plain import Expected
from .process import Process, ProcessFailed

POLL_S = 0.2

#: Nothing new in the database for so long: something is wrong, and the verdict will say what is missing.
STALLED_S = 45.0

#: Each stage with the query that counts it.
STAGES = {
    "rows saved": "SELECT COUNT(*) FROM raw_rows",
    "rows booked": "SELECT COUNT(*) FROM ledger",
    "debits screened": "SELECT COUNT(DISTINCT subject) FROM effects WHERE effect = 'screen'",
    "owners told": "SELECT COUNT(*) FROM deliveries",
    "transfers settled": "SELECT COUNT(*) FROM settlements",
    "bookings shown": "SELECT COALESCE(SUM(entries), 0) FROM shown_balances",
    "rows refused": "SELECT COUNT(*) FROM refusals",
    "reconciled": "SELECT COUNT(*) FROM reconciliations",
    "reports sent": "SELECT COUNT(*) FROM reports",
}
COUNTS = f"SELECT {', '.join(f'({query})' for query in STAGES.values())}"

#: Told after each look how far every stage is.
Show = Callable[[tuple[int, ...]], None]


def totals(must: Expected) -> tuple[int, ...]:
    """What each stage must come to."""
    booked, accounts = len(must.booked), len(must.accounts)
    saved, told = booked + len(must.refused), len(must.notifications)
    shown, refused, posted = booked, len(must.refused), len(must.posted)
    return (saved, booked, len(must.screened), told, len(must.settled), shown, refused, posted, accounts)


class Watch:
    """Looks at the database and the worker, five times a second."""

    def __init__(self, db: Database, totals: tuple[int, ...], worker: Process, producer: Process, show: Show) -> None:
        self.seconds = 0.0
        self.peak_mb = 0.0
        self._db = db
        self._totals = dict(zip(STAGES, totals, strict=True))
        self._worker = worker
        self._producer = producer
        self._show = show
        self._began = 0.0
        self._seen: tuple[int, ...] = ()

    def until_done(self, *stages: str) -> bool:
        """Return when these stages have come to their totals, or False when nothing has moved for ``STALLED_S``.

        Args:
            stages: which ones. Defaults to all.

        Raises:
            ProcessFailed: nothing has ever moved, or a process died.
        """
        moved = time.monotonic()
        self._began = self._began or moved
        while True:
            now, counts = time.monotonic(), self._counts()
            if not any(counts) and not self._producer.ended():
                self._began = now  # the producer waits for the worker; the clock starts with the first message
            if counts != self._seen:
                self._seen, moved = counts, now
                self._show(counts)
            self.seconds = now - self._began
            self._worker.ended()
            if self._producer.ended() and self._have_come(stages or tuple(STAGES)):
                return True
            if now - moved > STALLED_S:
                if any(counts):
                    return False
                raise ProcessFailed(f"the worker has done nothing for {STALLED_S:.0f} s; {self._worker.last_words()}")
            self.peak_mb = max(self.peak_mb, memory.held_mb(self._worker.id))
            time.sleep(POLL_S)

    def _have_come(self, stages: tuple[str, ...]) -> bool:
        seen = dict(zip(STAGES, self._seen, strict=True))
        return all(seen[stage] >= self._totals[stage] for stage in stages)

    def _counts(self) -> tuple[int, ...]:
        (found,) = self._db.rows(COUNTS)
        return tuple(map(int, found))  # PostgreSQL sums up to Decimal
