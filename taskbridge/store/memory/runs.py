"""Runs in memory."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from ...message import Message
from .. import LONG_WINDOW_MS
from ..flow import RunState
from .flow import Run
from .records import Records

#: A chunk in one of these is taken back when its run is paused.
ON_ITS_WAY = {"READY", "DELAYED", "OUT", "LOCKED", "THROTTLED", "PAUSED"}


class MemoryRuns:
    """Chunks, one after another."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._flow = records.flow

    def open(
        self,
        message: Message,
        claim: str,
        *,
        bounds: msgspec.Raw,
        at: msgspec.Raw,
        total: int,
        max_backlog: int,
        pause_ms: int,
    ) -> msgspec.Raw | None:
        with self._records.lock:
            self._flow.forget()
            entry, now_ms = self._records.read(message.id), self._records.now_ms()
            if entry.state != "RUN" or entry.claim != claim:
                return None
            if message.id not in self._flow.runs:
                self._flow.runs[message.id] = Run(
                    task=message.task,
                    queue=entry.queue,
                    bounds=bounds,
                    at=at,
                    expected=total,
                    max_backlog=max_backlog,
                    pause_ms=pause_ms,
                    current=message.id,
                    started_ms=now_ms,
                    planned_ms=now_ms,
                )
                entry.part = replace(entry.part, run=message.id)
            if entry.part.run != message.id:
                return None  # a copy that has outlived its marker: the run is elsewhere
            return self._flow.runs[message.id].bounds

    def steer(self, id: str, how: str, why: str = "") -> str:
        with self._records.lock:
            self._flow.forget()
            run = self._flow.runs.get(id)
            if run is None:
                return "unknown"
            if run.ended_ms:
                return "ended"
            entry = self._records.read(run.current)
            if how == "pause":
                run.paused = True
                if entry.state in ON_ITS_WAY:
                    due_ms = entry.at_ms if entry.state == "DELAYED" else self._records.now_ms()
                    self._records.redispatch(entry, "HELD", due_ms)
                    self._records.note(entry, "held", "its run is paused")
            elif how == "resume":
                run.paused = False
                self._flow.go_on(run)
            else:
                run.stop, run.reason = True, why
                if entry.state and entry.state != "RUN":
                    self._records.settle_done(entry, why=why or "cancelled")
                    self._records.read(entry.id).at_ms = self._records.now_ms() + LONG_WINDOW_MS  # as of a message
            return "ok"

    def rewind(self, id: str, current: str, chunk: Message, *, at: msgspec.Raw, done: int) -> str:
        with self._records.lock:
            self._flow.forget()
            run = self._flow.runs.get(id)
            if run is None:
                return "unknown"
            entry = self._records.read(run.current)
            if run.state not in {"running", "failed"} or (run.state == "failed" and entry.state != "DEAD"):
                return "ended"
            stands = entry.state == "DEAD" or (run.paused and entry.state in {"HELD", "PARKED"})
            if run.current != current or not stands:
                return "running"
            if entry.state == "DEAD":
                self._flow.revive(entry)
            run.at, run.progress, run.base, run.since_ms = at, done, done, self._records.now_ms()
            run.round += 1
            self._flow.follow(entry, chunk, self._records.now_ms())
            self._records.settle_done(entry, why="rewound")
            return "ok"

    def look(self, id: str) -> RunState | None:
        with self._records.lock:
            self._flow.forget()
            run = self._flow.runs.get(id)
            return _state(id, run) if run else None

    def newest(self, limit: int) -> list[RunState]:
        with self._records.lock:
            self._flow.forget()
            found = sorted(self._flow.runs.items(), key=lambda pair: (pair[1].started_ms, pair[0]), reverse=True)
            return [_state(id, run) for id, run in found[:limit]]


def _state(id: str, run: Run) -> RunState:
    return RunState(
        id=id,
        task=run.task,
        queue=run.queue,
        state=run.state,
        paused=run.paused,
        stopping=run.stop and not run.ended_ms,
        current=run.current,
        chunk=run.chunk,
        round=run.round,
        done=run.progress,
        total=run.expected,
        at=run.at,
        bounds=run.bounds,
        open=run.open,
        max_backlog=run.max_backlog,
        enqueued=run.total,
        pause_ms=run.pause_ms,
        started_ms=run.started_ms,
        ended_ms=run.ended_ms,
        since_ms=run.since_ms or run.started_ms,
        since_done=run.base,
        error=run.error,
    )
