"""How things were, in Redis: a list of the last moments."""

from __future__ import annotations

from ...redis.script import Script
from ...redis.server import Server
from ..history import Moment
from ..keys import Keys
from .claims import PACKAGE


class RedisHistory:
    """A row of moments, the last so many."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._key = keys.history
        self._add = Script(server, PACKAGE, "add_moment", [keys.history])

    def add(self, numbers: bytes, *, every_ms: int, kept: int) -> bool:
        return bool(self._add(numbers, every_ms, kept))

    def last(self, limit: int) -> list[Moment]:
        flat = self._server.call("LRANGE", self._key, -2 * limit, -1) if limit > 0 else []
        return [Moment(at_ms=int(flat[i]), numbers=flat[i + 1]) for i in range(0, len(flat), 2)]
