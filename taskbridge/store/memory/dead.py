"""The dead letters in memory."""

from __future__ import annotations

from .. import Held, Record
from .records import Entry, Records


class MemoryDead:
    """Seen, replayed, purged."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def bury(self, id: str, queue: str, body: bytes, why: str, held: Held | None = None) -> None:
        with self._records.lock:
            if not self._records.read(id).state:
                self._records.settle_dead(Entry(id=id, queue=queue, body=body, raw=True), why)

    def list(self, limit: int, offset: int = 0) -> list[Record]:
        with self._records.lock:
            newest = sorted(self._records.kept("DEAD"), key=lambda entry: (entry.at_ms, entry.id), reverse=True)
            return [entry.record() for entry in newest[offset : offset + limit]]

    def replay(self, id: str) -> bool:
        with self._records.lock:
            dead = self._find(id)
            if dead is None or dead.raw:
                return False
            dead.attempt, dead.crashes, dead.why, dead.traceback = 1, 0, "", ""
            self._records.flow.revive(dead)
            if self._records.redispatch(dead, "READY", self._records.now_ms()):
                self._records.note(dead, "replayed")
            return True

    def purge(self, id: str) -> bool:
        with self._records.lock:
            dead = self._find(id)
            if dead:
                self._records.settle_done(dead, why="purged from the dead letters")
            return dead is not None

    def _find(self, id: str) -> Entry | None:
        entry = self._records.read(id)
        return entry if entry.state == "DEAD" else None
