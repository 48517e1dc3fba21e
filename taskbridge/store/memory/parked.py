"""Messages in memory that wait for a worker which knows their task or arguments."""

from __future__ import annotations

from collections import Counter

from .records import Records


class MemoryParked:
    """Grouped by what they wait for."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def groups(self) -> dict[str, int]:
        with self._records.lock:
            return dict(Counter(entry.group for entry in self._records.kept("PARKED")))

    def release(self, group: str, limit: int) -> int:
        records = self._records
        with records.lock:
            waiting = [entry for entry in records.kept("PARKED") if entry.group == group]
            released = sorted(waiting, key=lambda entry: (entry.at_ms, entry.id))[:limit]
            for entry in released:
                if records.redispatch(entry, "READY", records.now_ms()):
                    records.note(entry, "released", group)
            return len(released)

    def overdue(self, limit: int) -> list[str]:
        records = self._records
        with records.lock:
            late = [entry for entry in records.kept("PARKED") if entry.at_ms <= records.now_ms()]
            late = sorted(late, key=lambda entry: (entry.at_ms, entry.id))[:limit]
            for entry in late:
                records.settle_dead(entry, f"no worker came that knows {entry.group}")
            return [entry.id for entry in late]
