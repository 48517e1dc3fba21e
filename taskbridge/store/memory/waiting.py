"""Messages and code in memory that wait for a lock or a limit."""

from __future__ import annotations

from collections import defaultdict

from .. import LimitState, LockState
from .needs import Setting
from .records import Records


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

    def limits(self) -> list[LimitState]:
        with self._records.lock:
            waiting: defaultdict[str, dict[str, int]] = defaultdict(dict)
            for key, limit in self._needs.limits.items():
                if limit.waiting:
                    waiting[key.partition(":")[0]][key] = len(limit.waiting)
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

    def break_lock(self, key: str) -> int:
        with self._records.lock:
            held = len(self._needs.locks[key].holders)
            self._needs.locks[key].holders.clear()
            self._needs.admit(key)
            return held


def _state(name: str, setting: Setting, waiting: dict[str, int]) -> LimitState:
    return LimitState(
        name=name,
        interval_us=setting.interval_us,
        burst=setting.burst,
        paused=setting.paused,
        waiting=waiting,
    )
