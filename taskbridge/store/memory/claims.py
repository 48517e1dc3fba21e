"""Claims in memory. The order of the checks matters; ``begin.lua`` and ``finish.lua`` have the same."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .. import LEASE_MS, Begin, Begun, Finish
from ..trail import Note
from .records import Entry, Records, crashed, ran_of


class MemoryClaims:
    """The right to run one message, leased."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def begin(self, request: Begin) -> Begun:
        records, message = self._records, request.message
        with records.lock:
            entry, now_ms = records.read(message.id), records.now_ms()
            if entry.state == "RUN" and entry.claim == request.claim:
                return _answer("held" if entry.refused else "run", entry, entry.refused)
            if entry.state in {"DONE", "DEAD"}:
                return _answer("settled", entry)
            if entry.state and message.seq < entry.seq:
                return _answer("stale", entry)
            if entry.state == "RUN" and message.seq == entry.seq:
                if entry.at_ms < now_ms and not records.away():
                    records.lost(entry)
                return _answer("busy", entry)

            if not entry.state:
                entry.attempt = message.attempt
            entry.seq, entry.limit = message.seq, request.max_crashes
            entry.body, entry.fresh_ms = request.body, 0  # its times stand in this copy
            entry.queue = message.queue
            if 0 < message.expires_at_ms < now_ms and not entry.starts:
                records.settle_done(entry, why="expired: not begun in time")
                return _answer("expired", entry)
            if entry.crashes > entry.limit:
                records.settle_dead(entry, crashed(entry))
                return _answer("crashed", entry)
            return self._paused(request, entry) or self._wait_or_run(request, entry)

    def finish(self, request: Finish) -> str:
        with self._records.lock:
            entry = self._records.read(request.id)
            if not entry.state:
                return "unknown"
            if entry.state == "RUN" and entry.claim == request.claim:
                if request.state != "DONE" and self._records.ends_cancelled(entry, request.claim):
                    return "cancelled"
                self._apply(request, entry)
                return "ok"
            return "mine" if entry.last == request.claim else "refused"

    def finish_and_begin(self, finish: Finish, begin: Begin) -> tuple[str, Begun]:
        with self._records.lock:
            return self.finish(finish), self.begin(begin)

    def renew(self, claims: Iterable[tuple[str, str]]) -> None:
        with self._records.lock:
            for id, claim in claims:
                if entry := self._standing(id, claim):
                    entry.at_ms = self._records.now_ms() + LEASE_MS

    def lose(self, id: str, claim: str) -> bool:
        with self._records.lock:
            if entry := self._standing(id, claim):
                self._records.lost(entry)
            return entry is not None

    def sweep(self, limit: int) -> list[str]:
        records = self._records
        with records.lock:
            records.beat()
            if records.away():
                return []
            lapsed = [entry for entry in records.kept("RUN") if entry.at_ms < records.now_ms()]
            lapsed = sorted(lapsed, key=lambda entry: (entry.at_ms, entry.claim, entry.id))[:limit]
            for entry in lapsed:
                records.lost(entry)
            return [entry.id for entry in lapsed]

    def release(self, id: str, claim: str) -> bool:
        with self._records.lock:
            if entry := self._standing(id, claim):
                ran = ran_of(entry)
                if self._records.redispatch(entry, "READY", self._records.now_ms()):
                    self._records.note(entry, "returned", ran=ran)
            return entry is not None

    def _paused(self, request: Begin, entry: Entry) -> Begun | None:
        """Let it wait for what is paused; None when nothing is that it needs."""
        records = self._records
        keys = [*(lock.key for lock in request.locks), *(rate.key for rate in request.rates)]
        subject = records.pauses.refusing(entry, request.message.task, keys)
        if not subject or request.ending:
            return None
        entry.hold = request.hold
        if not records.redispatch(entry, "PAUSED", records.now_ms()):
            return _answer("settled", entry)  # its run was to end
        if entry.hold:
            records.still_waits(entry)
        if entry.state == "PAUSED":  # else its run is paused, too
            records.pauses.wait_at(entry, subject)
            records.note(entry, "paused", subject, 0, Note(at_ms=0, what="", claim=request.claim))
        return _answer("paused", entry, subject)

    def _wait_or_run(self, request: Begin, entry: Entry) -> Begun:
        """Let it wait for the first lock or limit that refuses, or write the claim. All or none."""
        records, needs, asked = self._records, self._records.needs, (request.locks, request.rates)
        if asked != (entry.locks, entry.rates):  # another release asks for something else; a chunk keeps what it can
            needs.let_go(entry, request.locks if entry.part.run else ())
        entry.hold, (entry.locks, entry.rates) = request.hold, asked
        lock = needs.refusing_lock(entry)
        rate, wait_us = (None, 0.0) if lock else needs.refusing_rate(entry)
        conflict = lock.conflict if lock else "wait"
        refusal = lock or rate
        if refusal and conflict == "skip":
            records.settle_done(entry, why=f"skipped: the lock {refusal.key} is held")
            return _answer("skipped", entry, refusal.key)
        if refusal and conflict == "wait":
            records.redispatch(entry, "LOCKED" if lock else "THROTTLED", records.now_ms())
            if entry.hold:
                records.still_waits(entry)
            needs.wait_at(entry, rate)
            had = Note(at_ms=0, what="", claim=request.claim)
            records.note(entry, "locked" if lock else "throttled", refusal.key, 0, had)
            return _answer("locked" if lock else "throttled", entry, refusal.key)
        if refusal:  # it holds nothing while it fails
            needs.let_go(entry)
            entry.locks = entry.rates = ()

        records.free_same(entry, start=True)
        records.depart(entry)
        records.fence += 1
        entry.fence, entry.claim = records.fence, request.claim
        entry.starts += 1
        entry.parked, entry.waited = entry.waited, {}
        entry.begun_ms = records.now_ms() + math.ceil(wait_us / 1000)
        records.enter(entry, "RUN", records.now_ms() + LEASE_MS)
        needs.take(entry, request.claim, wait_us, refusal.key if refusal else "")
        return _answer("held" if refusal else "run", entry, entry.refused, wait_us)

    def _apply(self, request: Finish, entry: Entry) -> None:
        if request.state == "DONE":
            if request.next:
                self._records.flow.chunk_done(entry, request.next)
            self._records.settle_done(entry, request.claim, request.why, request.result)
            return
        entry.last, entry.body = request.claim, request.body or entry.body
        if request.state == "DEAD":
            self._records.settle_dead(entry, request.why, request.traceback)
            return
        entry.why, ran = request.why, ran_of(entry)
        entry.attempt += request.ran and request.counted
        at_ms, needs = self._records.now_ms() + request.due_ms, self._records.needs
        shut = needs.shut(entry, request.group, request.due_ms) if request.state == "THROTTLED" else None
        state = "DELAYED" if request.state == "THROTTLED" and shut is None else request.state
        if not self._records.redispatch(entry, state, at_ms, request.group):
            return  # its run was to end
        entry.starts -= not request.ran
        if not request.ran:
            self._records.keep_same(entry)
        if shut is not None and entry.state == "THROTTLED":
            entry.turn = 0  # it had its turn already
            needs.wait_at(entry, shut)
        what = "retried" if request.ran and request.counted else "postponed"
        if request.state == "PARKED":
            self._records.note(entry, "parked", request.group, at_ms, ran)
        else:
            self._records.note(entry, what, request.why, at_ms, ran)

    def _standing(self, id: str, claim: str) -> Entry | None:
        entry = self._records.read(id)
        return entry if entry.state == "RUN" and entry.claim == claim else None


def _answer(verdict: str, entry: Entry, key: str = "", wait_us: float = 0) -> Begun:
    runs = verdict in ("run", "held")
    return Begun(
        verdict=verdict,
        fence=entry.fence if runs else 0,
        starts=entry.starts,
        attempt=entry.attempt,
        crashes=entry.crashes,
        key=key,
        wait_ms=wait_us / 1000,
        locked_ms=entry.parked.get("LOCKED", 0) if runs else 0,
        throttled_ms=entry.parked.get("THROTTLED", 0) if runs else 0,
    )
