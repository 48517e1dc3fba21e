"""How full the store in memory is."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from .. import LimitState
from ..levels import Levels
from .leader import MemoryLeader
from .messages import MemoryMessages
from .records import Records
from .runs import MemoryRuns
from .waiting import MemoryWaiting


class MemoryGauging:
    """One look at all of it."""

    def __init__(self, records: Records, leader: MemoryLeader) -> None:
        self._records = records
        self._leader = leader
        self._messages = MemoryMessages(records)
        self._runs = MemoryRuns(records)
        self._waiting = MemoryWaiting(records)

    def read(self, duty: str, *, limit: int, runs: int, most: int = 0) -> Levels:
        records = self._records
        with records.lock:
            records.flow.forget()
            now_ms = records.now_ms()
            dues_ms = [entry.at_ms for entry in records.kept("READY", "DELAYED") if not entry.hold]
            states = self._waiting.limits()
            keys = [key for state in states for key in state.waiting]
            going_on = [run for run in self._runs.newest(limit) if not run.ended_ms]
            running = self._messages.running()[:limit]
            waited_at = sorted(self._waiting.locks(), key=lambda lock: (-lock.waiting, lock.key))
            return Levels(
                now_ms=now_ms,
                counts=self._messages.counts(),
                running=[(record.queue, record.claim) for record in running],
                claims=sum(1 for _ in records.kept("RUN")),
                overdue_ms=max(0, now_ms - min(dues_ms, default=now_ms)),
                leader=self._leader.owner(duty),
                limits=[less for state in states if (less := _less(state, set(keys[:limit])))],
                limit_keys=len(keys),
                runs=going_on[:runs],
                batches=sum(batch.until_ms is None for batch in records.flow.batches.values()),
                longest=sorted(running, key=lambda record: (record.begun_ms, record.id))[:most],
                locks=[lock for lock in waited_at[:most] if lock.waiting],
            )


def _less(state: LimitState, keys: Collection[str]) -> LimitState | None:
    """A limit with these of its keys; None when it has nothing else to tell."""
    waiting = {key: n for key, n in state.waiting.items() if key in keys}
    return replace(state, waiting=waiting) if waiting or state.interval_us or state.paused else None
