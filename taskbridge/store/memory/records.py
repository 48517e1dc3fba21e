"""The states of a message's record in memory and the ways between them: what record.lua is in Redis.

Whoever calls a method holds ``lock``. Instants and spans are milliseconds.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from ...clock import Clock
from ...needs import NeedsLock, NeedsTokens, Same
from .. import GAP_MS, LAST_RESORT_MS, LEASE_MS, LONG_WINDOW_MS, PATIENCE_MS, WINDOW_MS, Record
from ..trail import LONGEST_NOTE, MOST_NOTES, Note, Past, past_in
from .flow import NO_PART, Flow, Part
from .needs import Needs
from .pauses import Pauses

STATES = ("RUN", "READY", "DELAYED", "PARKED", "LOCKED", "THROTTLED", "HELD", "PAUSED", "OUT", "DONE", "DEAD")


@dataclass(slots=True, kw_only=True)
class Entry:
    """One message's record. ``state`` is empty while the store knows nothing of it.

    ``at_ms`` is when it is due, when its lease ends, when it died, until when it is parked, when a held chunk may
    go on, or when a done marker is forgotten. ``last`` is the claim that finished last; ``taken`` counts how often
    a relay had it to publish under its number; ``raw`` says that the body is no message. ``locks`` and ``rates`` are
    what it needs, ``turn`` grows with each that began to wait, ``since_ms`` is when it last did, ``waited`` how long
    since its last start, by state, ``parked`` what that was when this claim began. ``at`` is the limit it waits at, or
    what is paused, ``released`` the limit that let it out; ``front`` says that it has waited already,
    ``refused`` is the lock for which it runs to fail, ``hold`` that it is code and no message; ``woken`` when it
    may ask again. ``same`` are the keys under which it is
    the only one. ``part`` is what it is part of, ``fresh_ms`` when it was first due, if the store itself made it and
    nobody has published it.
    ``foreign`` says that no worker of ours runs it: published, it is forgotten like a done one. ``sent_to`` is the
    backend that it was last published to, ``trail`` what has happened to it, ``past`` what is told when it has ended.
    ``cancel`` is why one that runs is to end with this attempt.
    """

    id: str
    state: str = ""
    seq: int = 1
    attempt: int = 1
    starts: int = 0
    crashes: int = 0
    limit: int = 0
    claim: str = ""
    last: str = ""
    fence: int = 0
    taken: int = 0
    queue: str = ""
    why: str = ""
    traceback: str = ""
    group: str = ""
    body: bytes = b""
    raw: bool = False
    at_ms: int = 0
    begun_ms: int = 0
    locks: tuple[NeedsLock, ...] = ()
    rates: tuple[NeedsTokens, ...] = ()
    turn: int | None = None
    since_ms: int = 0
    waited: dict[str, int] = field(default_factory=dict)
    parked: dict[str, int] = field(default_factory=dict)
    at: str = ""
    released: str = ""
    front: bool = False
    refused: str = ""
    hold: bool = False
    woken: bool = False
    same: tuple[Same, ...] = ()
    part: Part = NO_PART
    fresh_ms: int = 0
    foreign: bool = False
    cancel: str = ""
    sent_to: str = ""
    sent_ms: int = 0
    trail: tuple[Note, ...] = ()
    past: Past | None = None

    def record(self) -> Record:
        return Record(
            id=self.id,
            state=self.state,
            seq=self.seq,
            attempt=self.attempt,
            starts=self.starts,
            crashes=self.crashes,
            claim=self.claim,
            queue=self.queue,
            why=self.why,
            traceback=self.traceback,
            group=self.group,
            body=self.body,
            at_ms=0 if self.state in {"DONE", "OUT"} else self.at_ms,
            begun_ms=self.begun_ms,
            batches=self.part.batches,
            sent_to=self.sent_to,
            sent_ms=self.sent_ms,
            trail=self.trail,
            past=self.past,
            waits_at=", ".join(lock.key for lock in self.locks) if self.state == "LOCKED" else self.at,
        )


class Records:
    """Every record by id and by state, one lock, and the bell that wakes the relay."""

    def __init__(self, clock: Clock) -> None:
        self.lock = threading.RLock()
        self.bell = threading.Condition(self.lock)
        self.fence = 0
        self.pulse_ms = 0
        self.quiet_ms = 0
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._kept: dict[str, dict[str, Entry]] = {state: {} for state in STATES}
        self.needs = Needs(self)
        self.pauses = Pauses(self)
        self.flow = Flow(self)
        self.standing: dict[str, tuple[str, int]] = {}
        self.looks_ms: dict[str, float] = {}
        """When the next tick of each schedule is looked at."""

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def read(self, id: str) -> Entry:
        """Return the message's entry, or a fresh one in no state."""
        entry = self._entries.get(id)
        if entry and self._forgotten(entry):
            entry = None
        return entry or Entry(id=id)

    def kept(self, *states: str) -> Iterator[Entry]:
        """The entries in these states."""
        return (entry for state in states for entry in self._kept[state].values())

    def enter(self, entry: Entry, state: str, at_ms: int = 0) -> None:
        """Put an entry that has left its state into another."""
        entry.state, entry.at_ms = state, at_ms
        self._entries[entry.id] = self._kept[state][entry.id] = entry

    def depart(self, entry: Entry) -> None:
        """Out of the state an entry is in."""
        if entry.state:
            del self._kept[entry.state][entry.id]
        if entry.state == "PAUSED":
            self.pauses.leave(entry)

    def leave(self, entry: Entry, kept: tuple[NeedsLock, ...] = ()) -> None:
        """The first step out of any state; one place for every membership."""
        self.depart(entry)
        self.needs.let_go(entry, kept)

    def let_on(self, entry: Entry) -> None:
        """What waited is ready, under the number it was parked with; code is woken."""
        entry.waited[entry.state] = entry.waited.get(entry.state, 0) + max(0, self.now_ms() - entry.since_ms)
        lets = {"LOCKED": ("let", "lock"), "THROTTLED": ("let", "limit"), "PAUSED": ("unpaused", entry.at)}
        self.note(entry, *lets[entry.state])
        self.depart(entry)
        entry.front = True
        self.enter(entry, "READY", self.now_ms())
        if entry.hold:
            entry.woken = True
            self.still_waits(entry)
        self.bell.notify_all()

    def redispatch(self, entry: Entry, state: str, at_ms: int, group: str = "") -> bool:
        """The store takes the message back. The sequence number grows: every older copy is waste paper.

        A chunk keeps its locks unless it must wait for one, obeys a pause, and ends here when its run is to end: False.
        So does what was cancelled while it ran.
        """
        if self.ends_cancelled(entry):
            return False
        run = self.flow.run_of(entry)
        if run and run.stop:
            self.settle_done(entry, why=run.reason or "cancelled")
            return False
        if run and run.paused and state != "PARKED":
            state = "HELD"
        self.leave(entry, entry.locks if run and state != "LOCKED" else ())
        entry.seq, entry.claim, entry.taken, entry.group = entry.seq + 1, "", 0, group
        self.enter(entry, state, at_ms)
        self.bell.notify_all()
        return True

    def ends_cancelled(self, entry: Entry, last: str = "") -> bool:
        """Somebody has cancelled a message while it ran: it ends now, and is not made again."""
        cancelled = entry.state == "RUN" and bool(entry.cancel)
        if cancelled:
            self.settle_done(entry, last, entry.cancel)
        return cancelled

    def note(self, entry: Entry, what: str, about: str = "", due_ms: int = 0, ran: Note | None = None) -> None:
        """A line of its trail. ``ran`` is what ``ran_of`` returns of the attempt that ends here."""
        if entry.hold:
            return
        if not entry.trail and entry.sent_ms:
            entry.trail = (Note(at_ms=entry.sent_ms, what="published", about=entry.sent_to),)
        text = _CONTROLS.sub(" ", about.encode()[:LONGEST_NOTE].decode(errors="replace"))
        made = replace(ran or _RAN_NOT, at_ms=self.now_ms(), what=what, about=text, due_ms=due_ms)
        entry.trail = (*entry.trail, made)[-MOST_NOTES:]

    def free_same(self, entry: Entry, *, start: bool = False) -> None:
        """Another may be taken under its keys; ``start`` frees those that end with the first start."""
        for one in entry.same:
            ends = one.until in {"until_started", "debounce"} or (one.until == "until_done" and not start)
            if ends and self.standing.get(one.key, ("", 0))[0] == (entry.part.run or entry.id):
                del self.standing[one.key]

    def keep_same(self, entry: Entry) -> None:
        """It was begun and never entered: it has not started, and keeps the keys that nobody has taken meanwhile.

        A chunk's run has started long since.
        """
        for one in entry.same:
            if one.until != "window" and not entry.part.run:
                self.standing.setdefault(one.key, (entry.id, self.now_ms() + LAST_RESORT_MS))

    def settle_done(self, entry: Entry, last: str = "", why: str = "", result: bytes = b"") -> None:
        """Nobody's any more; a marker stays while a copy could come again.

        ``why`` is of ends but success, ``result`` for the next link of a chain.
        """
        how = "purged" if entry.state == "DEAD" else "dropped" if why else "done"
        self.free_same(entry)
        while (eldest := next(self.kept("DONE"), None)) and self._forgotten(eldest):
            pass
        ran = ran_of(entry) if entry.state == "RUN" else None
        self.leave(entry)
        if entry.hold:
            del self._entries[entry.id]
            return
        if why:
            self.note(entry, "dropped", why, 0, ran)
        window = LONG_WINDOW_MS if entry.taken > 1 or entry.seq > 1 else WINDOW_MS
        marker = Entry(id=entry.id, seq=entry.seq, attempt=entry.attempt, last=last or entry.last, why=why)
        marker.trail = entry.trail
        told = past_in(entry.body, entry.queue)
        marker.past = replace(told, ended_ms=self.now_ms(), begun_ms=entry.begun_ms, claim=marker.last)
        self.enter(marker, "DONE", self.now_ms() + window)
        if entry.part is not NO_PART:
            self.flow.ends(entry.id, entry.part, how, why, result)

    def settle_dead(self, entry: Entry, why: str, traceback: str = "") -> None:
        """The dead letter is the marker; it keeps the body and has no end."""
        self.free_same(entry)
        ran = ran_of(entry) if entry.state == "RUN" else None
        self.leave(entry)
        entry.claim, entry.why, entry.traceback = "", why, traceback
        self.enter(entry, "DEAD", self.now_ms())
        self.note(entry, "dead", why, 0, ran)
        if entry.part is not NO_PART:
            self.flow.ends(entry.id, entry.part, "failed", why)

    def lost(self, entry: Entry) -> None:
        """The claim's worker is gone. Counted apart from attempts: three pauses must not end a healthy task."""
        if self.ends_cancelled(entry):
            return
        entry.crashes += 1
        if entry.hold:
            self.settle_done(entry)
        elif entry.crashes > entry.limit:
            self.settle_dead(entry, crashed(entry))
        else:
            ran = ran_of(entry)
            if self.redispatch(entry, "READY", self.now_ms()):
                self.note(entry, "lost", ran=ran)

    def away(self) -> bool:
        """Was the store, or every sweeper, away of late? Then claims could not be renewed and none is taken."""
        now_ms = self.now_ms()
        return now_ms < self.quiet_ms or 0 < self.pulse_ms < now_ms - GAP_MS

    def beat(self) -> None:
        """A sweeper lives. If none did for a while, claims are left alone for one lease."""
        if 0 < self.pulse_ms < self.now_ms() - GAP_MS:
            self.quiet_ms = self.now_ms() + LEASE_MS
        self.pulse_ms = self.now_ms()

    def still_waits(self, entry: Entry) -> None:
        """Code that waits has said so."""
        entry.at_ms = self.now_ms() + PATIENCE_MS

    def _forgotten(self, entry: Entry) -> bool:
        """Drop a marker whose window is over, what others have for long, and code that no longer says that it waits."""
        waits = entry.hold and entry.state != "RUN" and entry.id not in self.needs.reserved
        given = entry.foreign and entry.state == "OUT"
        over = (waits or given or entry.state == "DONE") and entry.at_ms <= self.now_ms()
        if over:
            self.depart(entry)
            self.needs.forget(entry)
            del self._entries[entry.id]
        return over


#: Of an attempt that is none.
_RAN_NOT = Note(at_ms=0, what="")

#: What a note has no place for: it is a line.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def ran_of(entry: Entry) -> Note:
    """Return what a note tells of the attempt that an entry's claim is of."""
    return replace(_RAN_NOT, begun_ms=entry.begun_ms, attempt=entry.attempt, claim=entry.claim)


def crashed(entry: Entry) -> str:
    """Why a message that kills its workers is dead."""
    return f"its worker died or was away {entry.crashes} times while running it"
