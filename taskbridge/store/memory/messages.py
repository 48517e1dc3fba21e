"""Looking at records in memory, without touching them."""

from __future__ import annotations

from collections import Counter

from .. import Record
from .records import Records


class MemoryMessages:
    """One message, how many there are, and what runs."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def look(self, id: str) -> Record | None:
        with self._records.lock:
            entry = self._records.read(id)
            return entry.record() if entry.state else None

    def counts(self) -> dict[tuple[str, str], int]:
        with self._records.lock:
            kept = self._records.kept("READY", "DELAYED", "PARKED", "LOCKED", "THROTTLED", "HELD", "PAUSED", "DEAD")
            return dict(Counter((entry.queue, entry.state) for entry in kept if not entry.hold))

    def running(self) -> list[Record]:
        with self._records.lock:
            messages = [entry for entry in self._records.kept("RUN") if not entry.hold]
            running = sorted(messages, key=lambda entry: (entry.at_ms, entry.claim, entry.id))
            return [entry.record() for entry in running]
