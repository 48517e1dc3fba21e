"""Delayed and ready messages in memory: leased and marked, never popped."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...message import Message, encode
from ...needs import ALONE, Same, Within
from .. import LONG_WINDOW_MS, NOWHERE, RELAY_LEASE_MS, Adopted, Copy, Due, Standing
from .flow import part_of
from .records import Entry, Records


class MemoryOutbox:
    """Messages that the store owns until an engine has them."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def put(self, messages: Sequence[Message], wait_ms: int, within: Within = ALONE) -> list[bool]:
        with self._records.lock:
            self._records.flow.refuse(messages, within)
            for message in messages:
                self._records.flow.refuse_link(message, within)
            created = [self._put(message, wait_ms, within) for message in messages]
            self._records.bell.notify_all()
            return created

    def put_all(self, trips: Iterable[Sequence[Message]], wait_ms: int, within: Within = ALONE) -> Iterator[list[bool]]:
        for messages in trips:
            yield self.put(messages, wait_ms, within)

    def put_once(
        self, messages: Sequence[Message], same: Sequence[tuple[Same, ...]], wait_ms: int, within: Within = ALONE
    ) -> list[Standing]:
        with self._records.lock:
            self._records.flow.refuse(messages, within)
            pairs = zip(messages, same, strict=True)
            found = [self._put_once(message, keys, wait_ms, within) for message, keys in pairs]
            self._records.bell.notify_all()
            return found

    def take(self, limit: int) -> list[Due]:
        records = self._records
        with records.lock:
            due = [entry for entry in self._kept() if entry.at_ms <= records.now_ms()]
            due = heapq.nsmallest(limit, due, key=lambda entry: (entry.at_ms, entry.turn or 0, entry.id))
            for entry in due:
                entry.at_ms = records.now_ms() + RELAY_LEASE_MS
                entry.taken += 1
            return [_due(entry) for entry in due]

    def mark(self, published: Sequence[tuple[str, int]], to: Mapping[str, str] = NOWHERE) -> None:
        with self._records.lock:
            long_ms = self._records.now_ms() + LONG_WINDOW_MS  # of what is foreign nobody tells the end
            for id, seq in published:
                entry = self._records.read(id)
                if entry.state in {"READY", "DELAYED"} and entry.seq == seq:
                    self._records.depart(entry)
                    self._records.enter(entry, "OUT", long_ms)
                    entry.sent_to, entry.sent_ms = to.get(id, ""), self._records.now_ms()
                    if entry.trail:
                        self._records.note(entry, "published", entry.sent_to)
                    entry.fresh_ms = 0

    def adopt(self, copies: Sequence[Copy], shelf: str = "", backend: str = "") -> list[Adopted]:
        with self._records.lock:
            found = [self._adopt(one, backend) for one in copies]
            self._records.bell.notify_all()
            return found

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

    def _put_once(self, message: Message, keys: tuple[Same, ...], wait_ms: int, within: Within) -> Standing:
        records, now_ms = self._records, self._records.now_ms()
        before, known = records.flow.sent_before(message.id, within), bool(records.read(message.id).state)
        if known or before:  # what was put before may have been another's, which stands yet
            standing = (records.standing.get(one.key, ("", 0)) for one in keys)
            other = next((id for id, until_ms in standing if now_ms < until_ms), message.id)
            return Standing(message.id if known else other)
        for one in keys:
            other, until_ms = records.standing.get(one.key, ("", 0))
            if now_ms < until_ms and (one.until != "debounce" or self._replaced(other, message, wait_ms)):
                for key in keys:  # an idempotency key stands for what was found
                    if key.until == "window" and now_ms >= records.standing.get(key.key, ("", 0))[1]:
                        records.standing[key.key] = other, now_ms + key.ttl_ms
                return Standing(other)
        self._keep(message, wait_ms, within)
        records.read(message.id).same = keys
        records.standing |= {one.key: (message.id, now_ms + one.ttl_ms) for one in keys}
        return Standing(message.id, created=True)

    def _replaced(self, id: str, message: Message, wait_ms: int) -> bool:
        """A later call takes the place of one that has not begun, and its delay begins anew."""
        entry = self._records.read(id)
        if entry.state in {"", "RUN", "DONE", "DEAD"}:
            return False
        entry.body = encode(message)
        at_ms = self._records.now_ms() + wait_ms
        waits = entry.state in {"LOCKED", "THROTTLED", "PAUSED"}
        if waits or self._records.redispatch(entry, "DELAYED", at_ms):
            self._records.note(entry, "replaced", due_ms=at_ms)
        return True

    def _adopt(self, copy: Copy, backend: str) -> Adopted:
        """Each copy is of another server: nothing is forgotten here."""
        records, message = self._records, copy.message
        entry = records.read(message.id)
        if entry.state and (entry.state != "OUT" or message.seq < entry.seq):
            return Adopted("KNOWN")
        delayed = copy.due_ms > records.now_ms()
        state, at_ms = ("DELAYED", copy.due_ms) if delayed else ("READY", records.now_ms() + RELAY_LEASE_MS)
        if entry.state:
            entry.seq = message.seq
            if not records.redispatch(entry, state, at_ms):
                return Adopted("KNOWN")
        else:
            entry = Entry(id=message.id, seq=message.seq + 1, attempt=message.attempt, queue=message.queue)
            entry.body = encode(message)
            records.enter(entry, state, at_ms)
        entry.taken += entry.state == "READY"
        records.note(entry, "adopted", backend, copy.due_ms)
        return Adopted(entry.state, entry.seq)

    def _put(self, message: Message, wait_ms: int, within: Within) -> bool:
        if self._records.flow.sent_before(message.id, within) or self._records.read(message.id).state:
            return False
        self._keep(message, wait_ms, within)
        self._records.flow.begin(message)
        return True

    def _keep(self, message: Message, wait_ms: int, within: Within) -> None:
        entry = Entry(id=message.id, queue=message.queue, body=encode(message), part=part_of(message, within))
        entry.foreign = within.foreign
        self._records.enter(entry, "DELAYED" if wait_ms > 0 else "READY", self._records.now_ms() + wait_ms)
        self._records.flow.join(within)


def _due(entry: Entry) -> Due:
    told = {name: getattr(entry, name) for name in ("id", "seq", "attempt", "body", "front", "fresh_ms")}
    return Due(**told)
