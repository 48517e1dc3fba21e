"""Delayed and ready messages in memory: leased and marked, never popped."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from ...message import Message, encode
from ...needs import Same
from .. import LONG_WINDOW_MS, RELAY_LEASE_MS, Due
from .records import Entry, Records


class MemoryOutbox:
    """Messages that the store owns until an engine has them."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def put(self, messages: Sequence[Message], wait_ms: int) -> list[bool]:
        with self._records.lock:
            created = [self._put(message, wait_ms) for message in messages]
            self._records.bell.notify_all()
            return created

    def put_once(self, messages: Sequence[Message], same: Sequence[tuple[Same, ...]], wait_ms: int) -> list[str]:
        with self._records.lock:
            ids = [self._put_once(message, keys, wait_ms) for message, keys in zip(messages, same, strict=True)]
            self._records.bell.notify_all()
            return ids

    def take(self, limit: int) -> list[Due]:
        records = self._records
        with records.lock:
            due = [entry for entry in self._kept() if entry.at_ms <= records.now_ms()]
            due = heapq.nsmallest(limit, due, key=lambda entry: (entry.at_ms, entry.turn or 0, entry.id))
            for entry in due:
                entry.at_ms = records.now_ms() + RELAY_LEASE_MS
                entry.taken += 1
            return [Due(id=one.id, seq=one.seq, attempt=one.attempt, body=one.body, front=one.front) for one in due]

    def mark(self, published: Sequence[tuple[str, int]]) -> None:
        with self._records.lock:
            for id, seq in published:
                entry = self._records.read(id)
                if entry.state in {"READY", "DELAYED"} and entry.seq == seq:
                    self._records.depart(entry)
                    self._records.enter(entry, "OUT", self._records.now_ms() + LONG_WINDOW_MS if entry.foreign else 0)

    def wait(self, timeout_s: float) -> None:
        records = self._records
        with records.lock:
            dues_ms = [*(entry.at_ms for entry in self._kept()), records.needs.next_due_ms()]
            dues_ms += records.looks_ms.values()
            first_ms = min((due_ms for due_ms in dues_ms if due_ms is not None), default=None)
            if first_ms is not None:
                timeout_s = min(timeout_s, (first_ms - records.now_ms()) / 1000)
            if timeout_s > 0:
                records.bell.wait(timeout_s)

    def _kept(self) -> list[Entry]:
        return [entry for entry in self._records.kept("READY", "DELAYED") if not entry.hold]

    def _put_once(self, message: Message, keys: tuple[Same, ...], wait_ms: int) -> str:
        records, now_ms = self._records, self._records.now_ms()
        if records.read(message.id).state:
            return message.id
        for one in keys:
            other, until_ms = records.standing.get(one.key, ("", 0))
            if now_ms < until_ms and (one.until != "debounce" or self._replaced(other, message, wait_ms)):
                for key in keys:  # an idempotency key stands for what was found
                    if key.until == "window" and now_ms >= records.standing.get(key.key, ("", 0))[1]:
                        records.standing[key.key] = other, now_ms + key.ttl_ms
                return other
        self._put(message, wait_ms)
        records.read(message.id).same = keys
        records.standing |= {one.key: (message.id, now_ms + one.ttl_ms) for one in keys}
        return message.id

    def _replaced(self, id: str, message: Message, wait_ms: int) -> bool:
        """A later call takes the place of one that has not begun, and its delay begins anew."""
        entry = self._records.read(id)
        if entry.state in {"", "RUN", "DONE", "DEAD"}:
            return False
        entry.body = encode(message)
        if entry.state not in {"LOCKED", "THROTTLED"}:
            self._records.redispatch(entry, "DELAYED", self._records.now_ms() + wait_ms)
        return True

    def _put(self, message: Message, wait_ms: int) -> bool:
        if self._records.read(message.id).state:
            return False
        entry = Entry(id=message.id, queue=message.queue, body=encode(message))
        self._records.enter(entry, "DELAYED" if wait_ms > 0 else "READY", self._records.now_ms() + wait_ms)
        return True
