"""Pages of what lies in memory."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from .. import LockState, Record
from ..browsing import KeyPage, LockPage, RecordPage, Shelf
from .records import Entry, Records
from .waiting import MemoryWaiting


class MemoryBrowsing:
    """Looking through, page by page."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._waiting = MemoryWaiting(records)

    def records(self, shelf: Shelf, limit: int, offset: int = 0) -> RecordPage:
        with self._records.lock:
            entries = self._on(shelf)
            return RecordPage(records=[_less(entry) for entry in entries[offset : offset + limit]], total=len(entries))

    def waiters(self, at: Literal["lock", "limit"], key: str, limit: int, offset: int = 0) -> RecordPage:
        with self._records.lock:
            needs = self._records.needs
            kept = (needs.locks if at == "lock" else needs.limits).get(key)
            waiting = kept.waiting if kept else {}
            ids = sorted(waiting, key=lambda id: (waiting[id], id))
            entries = [self._records.read(id) for id in ids[offset : offset + limit]]
            found = [replace(_less(entry), at_ms=0) for entry in entries if entry.state]
            return RecordPage(records=found, total=len(ids))

    def locks(self, limit: int, offset: int = 0) -> LockPage:
        with self._records.lock:
            claimed = [entry.id for entry in self._on("running")]
            ids = [*claimed, *sorted(self._records.needs.reserved)]
            page = set(ids[offset : offset + limit])
            found = [one for one in self._waiting.locks() if page.intersection((*one.holders, *one.reserved))]
            return LockPage(locks=found, total=len(ids))

    def lock(self, key: str) -> LockState | None:
        return next((one for one in self._waiting.locks() if one.key == key), None)

    def limit_keys(self, limit: int, offset: int = 0) -> KeyPage:
        waited_at = {key: n for state in self._waiting.limits() for key, n in state.waiting.items()}
        return KeyPage(waiting=dict(list(waited_at.items())[offset : offset + limit]), total=len(waited_at))

    def _on(self, shelf: Shelf) -> list[Entry]:
        kept, now_ms = self._records.kept, self._records.now_ms()
        if shelf == "running":
            return sorted(kept("RUN"), key=lambda entry: (entry.at_ms, entry.claim, entry.id))
        if shelf == "dead":
            return sorted(kept("DEAD"), key=lambda entry: (entry.at_ms, entry.id), reverse=True)
        found = list(kept("PARKED"))
        if shelf != "parked":
            due = [entry for entry in kept("READY", "DELAYED") if not entry.hold]
            found = [entry for entry in due if (entry.at_ms > now_ms) == (shelf == "delayed")]
        return sorted(found, key=lambda entry: (entry.at_ms, entry.id))


def _less(entry: Entry) -> Record:
    """Its record without traceback and past; code has no body."""
    record = replace(entry.record(), traceback="", trail=(), past=None, sent_to="", sent_ms=0)
    return replace(record, body=b"" if entry.hold else entry.body)
