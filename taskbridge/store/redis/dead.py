"""The dead letters in Redis."""

from __future__ import annotations

from ...redis.confirming import Confirming
from ...redis.script import Script
from ...redis.server import Server
from .. import Held, Record
from ..keys import Keys
from .claims import PACKAGE
from .messages import read_records


class RedisDead:
    """Seen, replayed, purged."""

    def __init__(self, server: Server, keys: Keys, confirming: Confirming) -> None:
        self._server = server
        self._confirming = confirming
        self._keys = keys
        self._bury = Script(server, PACKAGE, "bury", keys.record, more_keys=1)
        self._replay = Script(server, PACKAGE, "replay", keys.record)
        self._purge = Script(server, PACKAGE, "purge", keys.record)

    def bury(self, id: str, queue: str, body: bytes, why: str, held: Held | None = None) -> None:
        if held:  # acknowledged in the same step
            self._bury(held.key, id, queue, body, why, held.tag)
        else:
            self._confirming.run(self._bury, self._keys.leases, id, queue, body, why, "")

    def list(self, limit: int, offset: int = 0) -> list[Record]:
        if limit <= 0:
            return []
        flat = self._server.call("ZREVRANGE", self._keys.dead, offset, offset + limit - 1, "WITHSCORES")
        return read_records(self._server, self._keys, flat)

    def replay(self, id: str) -> bool:
        return bool(self._replay(id))

    def purge(self, id: str) -> bool:
        return bool(self._purge(id))
