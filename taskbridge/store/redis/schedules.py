"""Schedules in Redis: a hash each, and a sorted set of when their ticks are looked at."""

from __future__ import annotations

from collections.abc import Sequence

from ...message import encode
from ...redis.script import Script
from ...redis.server import Argument, Server
from ..keys import Keys
from ..schedules import Declaration, ScheduleState, Tick
from .claims import PACKAGE
from .outbox import BULK

#: How many fields timetable.lua answers for each schedule, its name among them.
WIDTH = 13


class RedisSchedules:
    """What was declared and set, and the ticks; each change is refused to whoever saw another version."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._timetable = Script(server, PACKAGE, "timetable", keys.timetable)
        self._declare = Script(server, PACKAGE, "declare", [*keys.timetable, keys.bell])
        self._change = Script(server, PACKAGE, "change", [*keys.timetable, keys.bell])
        self._fire = Script(server, PACKAGE, "fire", [*keys.record, *keys.timetable])
        self._put_off = Script(server, PACKAGE, "put_off", [keys.ticks])
        self._forget = Script(server, PACKAGE, "forget", keys.timetable)

    def all(self) -> list[ScheduleState]:
        return sorted(_states(self._timetable("")), key=lambda state: state.name)

    def due(self, limit: int) -> list[ScheduleState]:
        return _states(self._timetable(limit))

    def declare(self, declarations: Sequence[Declaration], stamp: int, lease_ms: int) -> list[bool]:
        stands: list[bool] = []
        for start in range(0, len(declarations), BULK):
            words = [word for one in declarations[start : start + BULK] for word in _said(one)]
            stands += map(bool, self._declare(stamp, lease_ms, *words))
        return stands

    def change(self, name: str, version: int, *, changes: bytes, paused: bool, tick_ms: int) -> bool:
        return bool(self._change(name, version, changes, int(paused), tick_ms))

    def fire(self, tick: Tick) -> str:
        message = tick.message
        made: list[Argument] = [message.id, message.queue, encode(message)] if message else ["", "", ""]
        same = [word for one in tick.same for word in (one.until, one.key, one.ttl_ms)]
        words = (
            tick.name,
            tick.version,
            tick.tick_ms,
            tick.next_ms,
            tick.overlap,
            tick.wait_ms,
            int(tick.foreign),
            tick.missed,
        )
        return str(self._fire(*words, *made, *same), "ascii")

    def put_off(self, name: str, wait_ms: int) -> None:
        self._put_off(name, wait_ms)

    def forget(self, age_ms: int) -> list[str]:
        return [name.decode() for name in self._forget(age_ms)]


def _said(one: Declaration) -> tuple[Argument, ...]:
    return one.name, one.version, one.document, "" if one.tick_ms is None else one.tick_ms


def _states(reply: list[bytes | int]) -> list[ScheduleState]:
    now_ms, *flat = reply
    return [_state(flat[i : i + WIDTH], int(now_ms)) for i in range(0, len(flat), WIDTH)]


def _state(fields: list[bytes | int], now_ms: int) -> ScheduleState:
    name, lapses, version, declared, stamp, changes, paused, tick, last, id, fired, skipped, missed = map(bytes, fields)
    return ScheduleState(
        name=name.decode(),
        version=int(version or 0),
        declared=declared,
        stamp=int(stamp or 0),
        lapses_ms=int(float(lapses)),
        changes=changes,
        paused=paused == b"1",
        tick_ms=int(tick or 0),
        last_ms=int(last or 0),
        last_id=id.decode(),
        fired=int(fired or 0),
        skipped=int(skipped or 0),
        missed=int(missed or 0),
        now_ms=now_ms,
    )
