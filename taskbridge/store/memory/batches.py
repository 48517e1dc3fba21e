"""Batches in memory."""

from __future__ import annotations

from .. import LAST_RESORT_MS
from ..flow import BatchState, Follower
from .flow import Batch
from .records import Records


class MemoryBatches:
    """Messages that are counted together."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._flow = records.flow

    def open(self, id: str, *, when: str, then: Follower | None, error: Follower | None, builder: str = "") -> bool:
        with self._records.lock:
            self._flow.forget()
            new = id not in self._flow.batches
            if new:
                made_ms = self._records.now_ms()
                batch = Batch(when=when, then=then, error=error, builder=builder, made_ms=made_ms)
                batch.until_ms = made_ms + LAST_RESORT_MS
                self._flow.batches[id] = batch
            return new

    def seal(self, id: str) -> bool:
        with self._records.lock:
            batch = self._flow.batch(id)
            if batch and not batch.sealed:
                batch.sealed = True
                self._flow.complete(id)
            return batch is not None

    def look(self, id: str) -> BatchState | None:
        with self._records.lock:
            self._flow.forget()
            batch = self._flow.batches.get(id)
            return _state(id, batch) if batch else None

    def newest(self, limit: int) -> list[BatchState]:
        with self._records.lock:
            self._flow.forget()
            found = sorted(self._flow.batches.items(), key=lambda pair: (pair[1].made_ms, pair[0]), reverse=True)
            return [_state(id, batch) for id, batch in found[:limit]]


def _state(id: str, batch: Batch) -> BatchState:
    return BatchState(
        id=id,
        total=batch.total,
        open=batch.open,
        done=batch.done,
        failed=batch.failed,
        dropped=batch.dropped,
        builder=batch.builder,
        sealed=batch.sealed,
        made_ms=batch.made_ms,
        ended_ms=batch.ended_ms,
    )
