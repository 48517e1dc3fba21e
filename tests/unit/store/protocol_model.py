"""The protocol of ``docs/protocol.md`` in as few words as it takes: what both stores are compared with.

Written from the page, not from either store. Time is a number that only ``now_ms`` moves; a message is its id.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LEASE_MS, RELAY_LEASE_MS, GAP_MS = 15_000, 10_000, 5_000

SETTLED = {"DONE", "DEAD"}
OUTBOX = {"READY", "DELAYED"}


@dataclass
class M:
    """One message's record."""

    st: str = ""
    seq: int = 1
    attempt: int = 1
    starts: int = 0
    crashes: int = 0
    limit: int = 0
    claim: str = ""
    last: str = ""
    at: int = 0


@dataclass
class Model:
    """All records; each method is one script of the protocol and returns its answer."""

    now_ms: int = 0
    pulse_ms: int = 0
    quiet_ms: int = 0
    m: dict[str, M] = field(default_factory=dict)

    def put(self, id: str, wait_ms: int) -> bool:
        if id in self.m:
            return False
        self.m[id] = M(st="DELAYED" if wait_ms else "READY", at=self.now_ms + wait_ms)
        return True

    def begin(self, id: str, n: int, claim: str, max_crashes: int, *, expired: bool) -> str:
        m = self.m.get(id, M(seq=n))
        if m.st == "RUN" and m.claim == claim:
            return "run"
        if m.st in SETTLED:
            return "settled"
        if n < m.seq:
            return "stale"
        if m.st == "RUN":
            if m.at < self.now_ms and not self.away():
                self.lost(m)
            return "busy"
        self.m[id], m.limit = m, max_crashes
        if expired and not m.starts:
            self.done(m)
            return "expired"
        if m.crashes > max_crashes:
            m.st, m.claim = "DEAD", ""
            return "crashed"
        m.st, m.claim, m.at = "RUN", claim, self.now_ms + LEASE_MS
        m.starts += 1
        return "run"

    def finish(self, id: str, claim: str, st: str, due_ms: int, *, counted: bool, ran: bool) -> str:
        m = self.m.get(id)
        if m is None:
            return "unknown"
        if m.st != "RUN" or m.claim != claim:
            return "mine" if m.last == claim else "refused"
        m.last = claim
        if st == "DONE":
            self.done(m)
        elif st == "DEAD":
            m.st, m.claim = "DEAD", ""
        else:
            m.attempt += counted and ran
            m.starts -= not ran
            self.redispatch(m, st, due_ms)
        return "ok"

    def take_back(self, id: str, claim: str, *, crashed: bool) -> bool:
        m = self.m.get(id, M())
        stands = m.st == "RUN" and m.claim == claim
        if stands and crashed:
            self.lost(m)
        elif stands:
            self.redispatch(m, "READY", 0)
        return stands

    def renew(self, id: str, claim: str) -> None:
        m = self.m.get(id, M())
        if m.st == "RUN" and m.claim == claim:
            m.at = self.now_ms + LEASE_MS

    def sweep(self) -> set[str]:
        if self.pulse_ms and self.now_ms - self.pulse_ms > GAP_MS:
            self.quiet_ms = self.now_ms + LEASE_MS
        self.pulse_ms = self.now_ms
        lapsed = {id for id, m in self.m.items() if m.st == "RUN" and m.at < self.now_ms and not self.away()}
        for id in lapsed:
            self.lost(self.m[id])
        return lapsed

    def take(self) -> set[tuple[str, int, int]]:
        due = {id: m for id, m in self.m.items() if m.st in OUTBOX and m.at <= self.now_ms}
        for m in due.values():
            m.at = self.now_ms + RELAY_LEASE_MS
        return {(id, m.seq, m.attempt) for id, m in due.items()}

    def mark(self, id: str, n: int) -> None:
        m = self.m.get(id, M())
        if m.st in OUTBOX and m.seq == n:
            m.st = "OUT"

    def release(self) -> int:
        parked = [m for m in self.m.values() if m.st == "PARKED"]
        for m in parked:
            self.redispatch(m, "READY", 0)
        return len(parked)

    def overdue(self) -> set[str]:
        late = {id for id, m in self.m.items() if m.st == "PARKED" and m.at <= self.now_ms}
        for id in late:
            self.m[id].st = "DEAD"
        return late

    def replay(self, id: str) -> bool:
        m = self.m.get(id, M())
        if m.st != "DEAD":
            return False
        m.attempt, m.crashes = 1, 0
        self.redispatch(m, "READY", 0)
        return True

    def purge(self, id: str) -> bool:
        m = self.m.get(id, M())
        if m.st != "DEAD":
            return False
        self.done(m)
        return True

    def redispatch(self, m: M, st: str, due_ms: int) -> None:
        m.seq += 1
        m.st, m.claim, m.at = st, "", self.now_ms + due_ms

    def lost(self, m: M) -> None:
        m.crashes += 1
        if m.crashes > m.limit:
            m.st, m.claim = "DEAD", ""
        else:
            self.redispatch(m, "READY", 0)

    def done(self, m: M) -> None:
        m.st, m.claim, m.starts, m.crashes = "DONE", "", 0, 0

    def away(self) -> bool:
        return self.now_ms < self.quiet_ms or 0 < self.pulse_ms < self.now_ms - GAP_MS
