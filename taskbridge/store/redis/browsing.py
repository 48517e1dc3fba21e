"""Pages of what lies in Redis: by rank in its sorted sets, in a few trips each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ...redis.server import Argument, Server
from .. import LockState, Record
from ..browsing import KeyPage, LockPage, RecordPage, Shelf
from ..keys import Keys
from .messages import read_records
from .waiting import lock_states


class RedisBrowsing:
    """Looking through, page by page."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys

    def records(self, shelf: Shelf, limit: int, offset: int = 0) -> RecordPage:
        if shelf in ("ready", "delayed"):
            return self._due(shelf, limit, offset)
        key = {"running": self._keys.leases, "parked": self._keys.parked, "dead": self._keys.dead}[shelf]
        total, flat = self._slice(key, limit, offset, newest=shelf == "dead")
        if shelf == "running":
            flat[::2] = [member.partition(b" ")[2] for member in flat[::2]]
            running = [one for one in self._read(flat) if one.state == "RUN"]
            return RecordPage(records=running, total=total)
        return RecordPage(records=self._read(flat), total=total)

    def waiters(self, at: Literal["lock", "limit"], key: str, limit: int, offset: int = 0) -> RecordPage:
        prefix = self._keys.lock_wait if at == "lock" else self._keys.rate_wait
        total, flat = self._slice(prefix + key, limit, offset)
        flat[1::2] = [0] * (len(flat) // 2)  # a turn is no instant
        return RecordPage(records=self._read(flat), total=total)

    def locks(self, limit: int, offset: int = 0) -> LockPage:
        keys = self._keys
        claims, reserved, leased = self._server.pipeline(
            [("ZCARD", keys.leases), ("ZCARD", keys.reserved), _range(keys.leases, limit, offset)]
        )
        ids = [member.partition(b" ")[2] for member in leased]
        if len(ids) < limit:
            ids += self._server.call(*_range(keys.reserved, limit - len(ids), max(0, offset - claims)))
        needs = self._server.pipeline([("HGET", keys.message + id.decode(), "locks") for id in ids]) if ids else []
        names = sorted({line.split(" ", 2)[2] for need in needs if need for line in need.decode().split("\n")})
        return LockPage(locks=lock_states(self._server, keys, names), total=claims + reserved)

    def lock(self, key: str) -> LockState | None:
        return next(iter(lock_states(self._server, self._keys, [key])), None)

    def limit_keys(self, limit: int, offset: int = 0) -> KeyPage:
        pacing = self._keys.pacing
        total, found = self._server.pipeline([("ZCARD", pacing), _range(pacing, limit, offset)])
        names = [key.decode() for key in found]
        counts = self._server.pipeline([("ZCARD", self._keys.rate_wait + name) for name in names]) if names else []
        return KeyPage(waiting=dict(zip(names, counts, strict=True)), total=total)

    def _due(self, shelf: Shelf, limit: int, offset: int) -> RecordPage:
        due = self._keys.due
        seconds, microseconds = self._server.call("TIME")
        now_ms = int(seconds) * 1000 + int(microseconds) // 1000
        every, by_now = self._server.pipeline([("ZCARD", due), ("ZCOUNT", due, "-inf", now_ms)])
        first, total = (by_now, every - by_now) if shelf == "delayed" else (0, by_now)
        _, flat = self._slice(due, max(0, min(limit, total - offset)), first + offset)
        return RecordPage(records=self._read(flat), total=total)

    def _slice(self, key: str, limit: int, offset: int, *, newest: bool = False) -> tuple[int, list[Any]]:
        """How many there are, and {member, score, ...} of some of them."""
        if limit <= 0:
            return int(self._server.call("ZCARD", key)), []
        order = "ZREVRANGE" if newest else "ZRANGE"
        asked: list[tuple[Argument, ...]] = [("ZCARD", key), (order, key, offset, offset + limit - 1, "WITHSCORES")]
        total, flat = self._server.pipeline(asked)
        return int(total), flat

    def _read(self, flat: Sequence[Any]) -> list[Record]:
        return read_records(self._server, self._keys, flat, traceback=False)


def _range(key: str, limit: int, offset: int) -> tuple[Argument, ...]:
    return "ZRANGE", key, offset, offset + limit - 1
