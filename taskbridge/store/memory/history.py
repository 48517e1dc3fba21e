"""How things were, in memory."""

from __future__ import annotations

from ..history import Moment
from .records import Records


class MemoryHistory:
    """A row of moments, the last so many."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._moments: list[Moment] = []

    def add(self, numbers: bytes, *, every_ms: int, kept: int) -> bool:
        with self._records.lock:
            now_ms = self._records.now_ms()
            if self._moments and now_ms - self._moments[-1].at_ms < every_ms:
                return False
            self._moments = [*self._moments, Moment(at_ms=now_ms, numbers=numbers)][-kept:]
            return True

    def last(self, limit: int) -> list[Moment]:
        with self._records.lock:
            return self._moments[-limit:] if limit > 0 else []
