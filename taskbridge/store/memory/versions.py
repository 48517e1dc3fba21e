"""A versioned document in memory."""

from __future__ import annotations

from ..versions import KEPT, Version
from .records import Records


class MemoryVersions:
    """Its last versions, the newest last."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._versions: list[Version] = []

    def read(self, known: int = -1) -> Version | None:
        with self._records.lock:
            newest = self._newest()
            return None if newest.version == known else newest

    def write(self, version: int, document: bytes, *, who: str, note: str) -> int:
        with self._records.lock:
            newest, follows = self._newest(), version + 1
            if newest.version == follows and (newest.document, newest.who, newest.note) == (document, who, note):
                return follows
            if newest.version != version:
                return 0
            at_ms = self._records.now_ms()
            written = Version(version=follows, document=document, who=who, note=note, at_ms=at_ms)
            self._versions = [*self._versions, written][-KEPT:]
            return follows

    def history(self, limit: int) -> list[Version]:
        with self._records.lock:
            return self._versions[: -limit - 1 : -1]

    def _newest(self) -> Version:
        return self._versions[-1] if self._versions else Version()
