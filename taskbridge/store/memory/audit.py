"""The audit log in memory."""

from __future__ import annotations

from collections import deque

from ..audit import KEPT, Entry
from .records import Records


class MemoryAudit:
    """The last entries."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._entries: deque[Entry] = deque(maxlen=KEPT)

    def note(self, who: str, verb: str, subject: str, detail: str = "") -> None:
        with self._records.lock:
            at_ms = self._records.now_ms()
            self._entries.append(Entry(at_ms=at_ms, who=who, verb=verb, subject=subject, detail=detail))

    def read(self, limit: int, offset: int = 0) -> list[Entry]:
        with self._records.lock:
            return [*reversed(self._entries)][offset : offset + max(0, limit)]
