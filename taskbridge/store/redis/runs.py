"""Runs in Redis: a hash each, which one chunk after another moves on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ...message import NULL, Message, encode
from ...redis.confirming import Confirming
from ...redis.script import Script
from ...redis.server import Server
from ..flow import RunState
from ..keys import Keys
from .claims import PACKAGE
from .followers import number

_WORDS = ("task", "queue", "state", "current", "error")
_RAW = ("at", "bounds")
_NUMBERS = (
    *("chunk", "round", "progress", "expected", "total", "open"),
    *("max", "pause", "started", "ended", "base", "since"),
)
_FLAGS = ("paused", "stop")
_FIELDS = (*_WORDS, *_RAW, *_NUMBERS, *_FLAGS)


class RedisRuns:
    """Chunks, one after another."""

    def __init__(self, server: Server, keys: Keys, confirming: Confirming) -> None:
        self._server = server
        self._confirming = confirming
        self._flow = keys.flow
        self._open = Script(server, PACKAGE, "open_run", keys.record)
        self._steer = Script(server, PACKAGE, "steer_run", keys.record)
        self._rewind = Script(server, PACKAGE, "rewind_run", keys.record)

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
        words = (message.id, claim, message.task, bytes(bounds), total, max_backlog, pause_ms, bytes(at))
        said = self._confirming.run(self._open, *words)  # without it the run would end with this chunk
        return None if said is None else msgspec.Raw(said)

    def steer(self, id: str, how: str, why: str = "") -> str:
        return str(self._steer(id, how, why), "ascii")

    def rewind(self, id: str, current: str, chunk: Message, *, at: msgspec.Raw, done: int) -> str:
        return str(self._rewind(id, current, chunk.id, encode(chunk), bytes(at), done), "ascii")

    def look(self, id: str) -> RunState | None:
        return self.states([id.encode()])[0]

    def newest(self, limit: int) -> list[RunState]:
        ids = self._server.call("ZREVRANGE", f"{self._flow}runs", 0, limit - 1)
        return [state for state in self.states(ids) if state]

    def states(self, ids: Sequence[bytes]) -> list[RunState | None]:
        """How far these are; None for one that is forgotten."""
        answers = self._server.pipeline([("HMGET", f"{self._flow}run:{id.decode()}", *_FIELDS) for id in ids])
        return [_state(id.decode(), fields) for id, fields in zip(ids, answers, strict=True)]


def _state(id: str, fields: Sequence[Any]) -> RunState | None:
    found = dict(zip(_FIELDS, fields, strict=True))
    if found["task"] is None:
        return None
    words = {word: (found[word] or b"").decode(errors="replace") for word in _WORDS}
    at, bounds = (msgspec.Raw(found[word]) if found[word] else NULL for word in _RAW)
    n = {word: number(found[word]) for word in _NUMBERS}
    return RunState(
        id=id,
        **words,
        at=at,
        bounds=bounds,
        paused=found["paused"] is not None,
        stopping=found["stop"] is not None and not n["ended"],
        chunk=n["chunk"],
        round=n["round"],
        done=n["progress"],
        total=n["expected"],
        open=n["open"],
        enqueued=n["total"],
        max_backlog=n["max"],
        pause_ms=n["pause"],
        started_ms=n["started"],
        ended_ms=n["ended"],
        since_ms=n["since"] or n["started"],
        since_done=n["base"],
    )
