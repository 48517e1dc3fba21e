"""Schedules in memory: what was declared and set, and the ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from ...message import encode
from ..schedules import Declaration, ScheduleState, Tick
from .records import Entry, Records


class MemorySchedules:
    """Each change is refused to whoever saw another version."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._states: dict[str, ScheduleState] = {}

    def all(self) -> list[ScheduleState]:
        with self._records.lock:
            return [self._seen(name) for name in sorted(self._states)]

    def due(self, limit: int) -> list[ScheduleState]:
        with self._records.lock:
            looks_ms, now_ms = self._records.looks_ms, self._records.now_ms()
            due = sorted((at_ms, name) for name, at_ms in looks_ms.items() if at_ms <= now_ms)
            return [self._seen(name) for _, name in due[:limit]]

    def declare(self, declarations: Sequence[Declaration], stamp: int, lease_ms: int) -> list[bool]:
        with self._records.lock:
            return [self._declare(one, stamp, lease_ms) for one in declarations]

    def change(self, name: str, version: int, *, changes: bytes, paused: bool, tick_ms: int) -> bool:
        with self._records.lock:
            state = self._states.get(name)
            if state is None or state.version != version:
                return False
            self._write(state, changes=changes, paused=paused, tick_ms=tick_ms)
            return True

    def fire(self, tick: Tick) -> str:
        with self._records.lock:
            state = self._states.get(tick.name)
            if state is None or state.version != tick.version:
                return "stale"
            became = self._became(state, tick)
            counted = {} if became == "missed" else {became: getattr(state, became) + 1}
            counted["missed"] = state.missed + tick.missed + (became == "missed" and tick.message is not None)
            last_id = tick.message.id if tick.message and became == "fired" else state.last_id
            last_ms = max(state.last_ms, tick.tick_ms)
            self._write(state, last_ms=last_ms, last_id=last_id, tick_ms=tick.next_ms, **counted)
            return became

    def put_off(self, name: str, wait_ms: int) -> None:
        with self._records.lock:
            if name in self._records.looks_ms:
                self._records.looks_ms[name] = self._records.now_ms() + wait_ms

    def forget(self, age_ms: int) -> list[str]:
        with self._records.lock:
            before_ms = self._records.now_ms() - age_ms
            old = [state for state in self._states.values() if state.lapses_ms <= before_ms]
            return [state.name for state in old if self._forget(state)]

    def _declare(self, said: Declaration, stamp: int, lease_ms: int) -> bool:
        state, now_ms = self._states.get(said.name, ScheduleState(name=said.name)), self._records.now_ms()
        if state.version != said.version or (stamp < state.stamp and now_ms <= state.lapses_ms):
            return False
        tick_ms = state.tick_ms if said.tick_ms is None else said.tick_ms
        goes_on = tick_ms and not state.tick_ms  # it had stopped where an operator's word outlived it
        if said.document != state.declared or goes_on or said.name not in self._states:
            state = self._write(state, declared=said.document, tick_ms=tick_ms)
        stamped = msgspec.structs.replace(state, stamp=stamp, lapses_ms=now_ms + lease_ms)
        self._states[said.name] = stamped
        return True

    def _became(self, state: ScheduleState, tick: Tick) -> str:
        records, message = self._records, tick.message
        if message is None or tick.tick_ms <= state.last_ms or records.read(message.id).state:
            return "missed"
        run = records.flow.runs.get(state.last_id)
        runs = run is not None and run.state == "running"  # a chunked task's message is the first chunk of it
        unfinished = runs or records.read(state.last_id).state not in {"", "DONE", "DEAD"}
        now_ms = records.now_ms()
        taken = any(now_ms < records.standing.get(one.key, ("", 0))[1] for one in tick.same)
        if (tick.overlap == "skip" and unfinished) or taken:
            return "skipped"
        entry = Entry(id=message.id, queue=message.queue, body=encode(message), same=tick.same, foreign=tick.foreign)
        records.enter(entry, "DELAYED" if tick.wait_ms > 0 else "READY", now_ms + tick.wait_ms)
        records.standing |= {one.key: (message.id, now_ms + one.ttl_ms) for one in tick.same}
        return "fired"

    def _write(self, state: ScheduleState, **fields: object) -> ScheduleState:
        """Change a schedule; its tick is looked at when it is due, and whoever saw it before is too late."""
        fields["version"] = state.version + 1
        state = self._states[state.name] = msgspec.structs.replace(state, **fields)
        stops = state.paused or not state.tick_ms
        self._records.looks_ms[state.name] = math.inf if stops else state.tick_ms
        self._records.bell.notify_all()
        return state

    def _forget(self, state: ScheduleState) -> bool:
        """End a schedule, or only its ticks where an operator has said something; False when that is so already."""
        kept = bool(state.changes or state.paused)
        if not kept:
            del self._states[state.name]
        elif state.tick_ms:
            self._write(state, tick_ms=0)
        self._records.looks_ms.pop(state.name, None)
        return not kept or state.tick_ms != 0

    def _seen(self, name: str) -> ScheduleState:
        return msgspec.structs.replace(self._states[name], now_ms=self._records.now_ms())
