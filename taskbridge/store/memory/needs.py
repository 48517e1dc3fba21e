"""Locks and limits in memory: who holds, who waits, what is left; what that part of record.lua is in Redis.

Whoever calls a method holds the lock of ``Records``. Instants are ms, or us where the name says so.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...needs import NeedsLock, NeedsTokens
from .. import COMING_MS, EARLY_US, RESERVED_MS, SHORT_BURST_US

if TYPE_CHECKING:
    from .records import Entry, Records


@dataclass(slots=True)
class Lock:
    """Holders by id, with their claims; an empty one is a reservation. Who waits, by id, with their turns."""

    holders: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Limit:
    """One key of a limit: when its next start is due at its pace, who waits, what was let out (weight, until when)."""

    due_us: float = 0
    waiting: dict[str, int] = field(default_factory=dict)
    out: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Setting:
    """What a limit was set to at run time."""

    interval_us: int = 0
    burst: int = 0
    paused: bool = False


class Needs:
    """Every lock and every limit of a store."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._turn = 0
        self.locks: defaultdict[str, Lock] = defaultdict(Lock)
        self.limits: defaultdict[str, Limit] = defaultdict(Limit)
        self.settings: dict[str, Setting] = {}
        self.reserved: dict[str, int] = {}

    def refusing_lock(self, entry: Entry) -> NeedsLock | None:
        """The first lock that has no room for it; None when it may have them all."""
        for need in entry.locks:
            lock = self.locks[need.key]
            if entry.id not in lock.holders and (
                len(lock.holders) >= need.at_most or not self.first(lock.waiting, entry)
            ):
                return need
        return None

    def refusing_rate(self, entry: Entry) -> tuple[NeedsTokens | None, float]:
        """The first limit that does not let it start; else None, and how early it is (us)."""
        wait_us = 0.0
        for need in map(self.in_force, entry.rates):
            limit, released = self.limits[need.key], entry.released == need.key
            missing = self._until_room(need, need.weight + (0 if released else self._coming(limit)))
            early = missing <= (EARLY_US if entry.released else 0)
            if self._paused(need) or not early or not (released or self.first(limit.waiting, entry)):
                return need, 0
            wait_us = max(wait_us, missing)
        return None, wait_us

    def take(self, entry: Entry, claim: str, wait_us: float, refused: str) -> None:
        """A claim has what it asked for: its locks, its tokens, its turn no more."""
        self.reserved.pop(entry.id, None)
        for lock in entry.locks:
            self.locks[lock.key].holders[entry.id] = claim
        for need in map(self.in_force, entry.rates):
            limit = self.limits[need.key]
            limit.due_us = max(limit.due_us, self._now_us() + wait_us) + need.weight * need.interval_us
            limit.out.pop(entry.id, None)
        entry.turn, entry.at, entry.released, entry.front, entry.refused = None, "", "", False, refused

    def wait_at(self, entry: Entry, rate: NeedsTokens | None) -> None:
        """Into the lists: of all its locks, so that nobody who came later passes, or of the limit that refused."""
        turn = self.take_turn(entry)
        entry.since_ms = self._records.now_ms()
        if rate is not None:
            entry.at = rate.key
            self.limits[rate.key].waiting[entry.id] = turn
            self._records.bell.notify_all()
        else:
            for need in _waited_for(entry):
                self.locks[need.key].waiting[entry.id] = turn

    def take_turn(self, entry: Entry) -> int:
        """It keeps its turn from list to list until it starts."""
        if entry.turn is None:
            self._turn += 1
            entry.turn = self._turn
        return entry.turn

    def let_go(self, entry: Entry, kept: tuple[NeedsLock, ...] = ()) -> None:
        """Of everything it holds, has reserved or waits for. One place for it, in every way out.

        ``kept`` are the locks that stay reserved for it, however long, where it has them.
        """
        self.reserved.pop(entry.id, None)
        keys = {need.key for need in kept}
        for need in entry.locks:
            lock = self.locks[need.key]
            if need.key in keys and entry.id in lock.holders:
                lock.holders[entry.id] = ""
            else:
                lock.holders.pop(entry.id, None)
            lock.waiting.pop(entry.id, None)
        self.limits[entry.at].waiting.pop(entry.id, None)
        for rate in entry.rates:
            self.limits[rate.key].out.pop(entry.id, None)
        entry.at, entry.released, entry.front = "", "", False
        for need in entry.locks:
            self.admit(need.key)

    def hand_over(self, entry: Entry, following: Entry) -> None:
        """The locks that one holds are reserved for another."""
        self.reserved.pop(entry.id, None)
        for need in entry.locks:
            holders = self.locks[need.key].holders
            if holders.pop(entry.id, None) is not None:
                holders[following.id] = ""

    def forget(self, entry: Entry) -> None:
        """It waits no more; whoever calls this lets others on."""
        for need in entry.locks:
            self.locks[need.key].waiting.pop(entry.id, None)
        self.limits[entry.at].waiting.pop(entry.id, None)
        for rate in entry.rates:
            self.limits[rate.key].out.pop(entry.id, None)

    def admit(self, key: str) -> None:
        """A lock has room: its waiters go on, the longest waiting first, each when all the locks it needs have room."""
        while head := _head(self.locks[key].waiting):
            entry = self._records.read(head)
            needs = _waited_for(entry)
            for need in needs:
                lock = self.locks[need.key]
                if len(lock.holders) >= need.at_most or not self.first(lock.waiting, entry):
                    return
            self.locks[key].waiting.pop(head, None)
            if entry.state != "LOCKED":
                continue
            for need in needs:
                self.locks[need.key].waiting.pop(head, None)
                self.locks[need.key].holders[head] = ""
            self.reserved[head] = self._records.now_ms() + RESERVED_MS
            self._records.let_on(entry)
            for need in needs:
                if need.key != key:  # whoever waits behind it there may have room, too
                    self.admit(need.key)

    def lapse(self) -> int:
        """Reservations that nobody used in time are over; returns how many."""
        over = [id for id, until_ms in self.reserved.items() if until_ms <= self._records.now_ms()]
        for id in over:
            entry = self._records.read(id)
            del self.reserved[id]
            if entry.hold and entry.state == "READY":
                self._records.settle_done(entry)  # the code that waited is gone
                continue
            locks = entry.locks
            for need in locks:
                if self.locks[need.key].holders.get(id) == "":
                    del self.locks[need.key].holders[id]
            for need in locks:
                self.admit(need.key)
        return len(over)

    def let_out(self, key: str) -> int:
        """Let out of a limit's waiting list what it has tokens for; returns how many."""
        limit, released = self.limits[key], 0
        while head := _head(limit.waiting):
            entry = self._records.read(head)
            need = next((self.in_force(rate) for rate in entry.rates if rate.key == entry.at), None)
            if entry.state != "THROTTLED" or need is None:
                limit.waiting.pop(head, None)
                continue
            early_us = EARLY_US if (need.burst - 1) * need.interval_us < SHORT_BURST_US else 0
            if self._paused(need) or self._until_room(need, need.weight + self._coming(limit)) > early_us:
                break
            del limit.waiting[head]
            limit.out[head] = need.weight, self._records.now_ms() + COMING_MS
            entry.at, entry.released = "", key
            self._records.let_on(entry)
            released += 1
        return released

    def next_due_ms(self) -> float | None:
        """When a limit that is waited at may let somebody out; None when none is, or none before it is set anew."""
        dues: list[float] = []
        for key, limit in self.limits.items():
            head = _head(limit.waiting)
            rates = self._records.read(head).rates if head else ()
            need = next((self.in_force(rate) for rate in rates if rate.key == key), None)
            if need is not None and not self._paused(need):
                missing = self._until_room(need, need.weight + self._coming(limit))
                dues.append((self._now_us() + missing) / 1000)
        return min(dues, default=None)

    def shut(self, entry: Entry, key: str, wait_ms: int) -> NeedsTokens | None:
        """Nobody starts at a limit's key for so long, then at its pace, without a burst. None: it is not its own."""
        need = next((self.in_force(rate) for rate in entry.rates if rate.key == key), None)
        if need is not None:
            limit = self.limits[key]
            due_us = self._now_us() + wait_ms * 1000 + (need.burst - 1) * need.interval_us
            limit.due_us = max(limit.due_us, due_us)
        return need

    def in_force(self, need: NeedsTokens) -> NeedsTokens:
        """What was set for a limit at run time goes before what its task says."""
        found = self.settings.get(need.name)
        interval_us, burst = need.interval_us, need.burst
        if found and found.interval_us:
            interval_us, burst = found.interval_us, found.burst
        return NeedsTokens(need.name, need.key, interval_us, max(burst, need.weight), need.weight)

    def _paused(self, need: NeedsTokens) -> bool:
        found = self.settings.get(need.name)
        return bool(found and found.paused)

    def first(self, waiting: dict[str, int], entry: Entry) -> bool:
        """Whether nobody waits before it."""
        head = _head(waiting)
        return not head or head == entry.id or (entry.turn is not None and entry.turn < waiting[head])

    def _until_room(self, need: NeedsTokens, tokens: int) -> float:
        now_us = self._now_us()
        due_us = max(self.limits[need.key].due_us, now_us)
        return max(0.0, due_us + (tokens - need.burst) * need.interval_us - now_us)

    def _coming(self, limit: Limit) -> int:
        """The tokens that are meant for what was let out and has not begun."""
        now_ms = self._records.now_ms()
        limit.out = {id: (weight, until_ms) for id, (weight, until_ms) in limit.out.items() if now_ms < until_ms}
        return sum(weight for weight, _ in limit.out.values())

    def _now_us(self) -> int:
        return self._records.now_ms() * 1000


def _waited_for(entry: Entry) -> list[NeedsLock]:
    """The locks that it waits for; others are tried when it begins."""
    return [need for need in entry.locks if need.conflict == "wait"]


def _head(waiting: dict[str, int]) -> str:
    """Who waits longest; nobody is the empty string."""
    return min(waiting, key=lambda id: (waiting[id], id), default="")
