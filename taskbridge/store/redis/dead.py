"""The dead letters in Redis."""

from __future__ import annotations

from ...redis.script import Script
from ...redis.server import Server
from .. import Held, Record
from ..keys import Keys
from .claims import PACKAGE
from .messages import read_records


class RedisDead:
    """Seen, replayed, purged."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self._bury = Script(server, PACKAGE, "bury", keys.record, more_keys=1)
        self._replay = Script(server, PACKAGE, "replay", keys.record)
        self._purge = Script(server, PACKAGE, "purge", keys.record)

    def bury(self, id: str, queue: str, body: bytes, why: str, held: Held | None = None) -> None:
        held = held or Held(self._keys.leases, "")
        self._bury(held.key, id, queue, body, why, held.tag)

    def list(self, limit: int, offset: int = 0) -> list[Record]:
        newest = ("ZREVRANGEBYSCORE", self._keys.dead, "+inf", "-inf", "WITHSCORES", "LIMIT", offset, limit)
        flat = self._server.call(*newest)
        return read_records(self._server, self._keys, flat)

    def replay(self, id: str) -> bool:
        return bool(self._replay(id))

    def purge(self, id: str) -> bool:
        return bool(self._purge(id))
