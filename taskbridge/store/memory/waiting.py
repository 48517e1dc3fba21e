"""Messages and code in memory that wait for a lock or a limit."""

from __future__ import annotations

from collections import defaultdict

from ...needs import NeedsTokens
from .. import LimitState, LockState, Turn
from .needs import Setting
from .records import Entry, Records


class MemoryWaiting:
    """The waiting lists are those of ``Needs``; claims put in and take out."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._needs = records.needs

    def let_out(self, limit: int) -> int:
        with self._records.lock:
            keys = [key for key, one in self._needs.limits.items() if one.waiting][:limit]
            return self._needs.lapse() + sum(map(self._needs.let_out, keys))

    def await_turn(self, id: str, timeout_s: float) -> bool:
        records = self._records
        with records.lock:
            entry = records.read(id)
            records.still_waits(entry)
            woken = records.bell.wait_for(lambda: entry.woken, timeout_s)
            entry.woken = False
            return woken

    def set_limit(self, name: str, *, interval_us: int = 0, burst: int = 0, paused: bool = False) -> None:
        with self._records.lock:
            self._needs.settings[name] = Setting(interval_us, burst, paused)
            if not interval_us and not paused:
                del self._needs.settings[name]
            self._records.bell.notify_all()

    def limits(self, keys: int = -1) -> list[LimitState]:
        with self._records.lock:
            waiting: defaultdict[str, dict[str, int]] = defaultdict(dict)
            waited_at = [key for key, limit in self._needs.limits.items() if limit.waiting]
            for key in waited_at if keys < 0 else waited_at[:keys]:
                waiting[key.partition(":")[0]][key] = len(self._needs.limits[key].waiting)
            set_to = self._needs.settings
            return [_state(name, set_to.get(name, Setting()), waiting[name]) for name in sorted({*set_to, *waiting})]

    def locks(self) -> list[LockState]:
        with self._records.lock:
            return [
                LockState(
                    key=key,
                    holders=tuple(sorted(id for id, claim in lock.holders.items() if claim)),
                    reserved=tuple(sorted(id for id, claim in lock.holders.items() if not claim)),
                    waiting=len(lock.waiting),
                )
                for key, lock in sorted(self._needs.locks.items())
                if lock.holders
            ]

    def turns(self, id: str) -> list[Turn]:
        with self._records.lock:
            entry = self._records.read(id)
            if entry.state == "LOCKED":
                return [self._at_lock(entry, need.key) for need in entry.locks if need.conflict == "wait"]
            needs = entry.rates if entry.state == "THROTTLED" else ()
            return [self._at_limit(entry, need) for need in needs if need.key == entry.at]

    def _at_lock(self, entry: Entry, key: str) -> Turn:
        lock = self._needs.locks[key]
        return Turn(
            kind="lock",
            key=key,
            since_ms=entry.since_ms,
            ahead=_ahead(lock.waiting, entry.id),
            holders=tuple(sorted(id for id, claim in lock.holders.items() if claim)),
            reserved=tuple(sorted(id for id, claim in lock.holders.items() if not claim)),
        )

    def _at_limit(self, entry: Entry, need: NeedsTokens) -> Turn:
        limit, now = self._needs.limits[need.key], self._needs.in_force(need)
        return Turn(
            kind="limit",
            key=need.key,
            name=need.name,
            since_ms=entry.since_ms,
            ahead=_ahead(limit.waiting, entry.id),
            interval_us=now.interval_us,
            burst=now.burst,
            weight=need.weight,
            paused=self._needs.settings.get(need.name, Setting()).paused,
            due_ms=int(limit.due_us) // 1000,
        )

    def break_lock(self, key: str) -> int:
        with self._records.lock:
            held = len(self._needs.locks[key].holders)
            self._needs.locks[key].holders.clear()
            self._needs.admit(key)
            return held


def _ahead(waiting: dict[str, int], id: str) -> int:
    """How many go before it."""
    return sorted(waiting, key=lambda one: (waiting[one], one)).index(id)


def _state(name: str, setting: Setting, waiting: dict[str, int]) -> LimitState:
    return LimitState(
        name=name,
        interval_us=setting.interval_us,
        burst=setting.burst,
        paused=setting.paused,
        waiting=waiting,
    )
