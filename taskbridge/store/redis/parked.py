"""Messages in Redis that wait for a worker which knows their task or arguments."""

from __future__ import annotations

from ...redis.script import Script
from ...redis.server import Server
from ..keys import Keys
from .claims import PACKAGE


class RedisParked:
    """Grouped by what they wait for."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._groups = keys.groups
        self._release = Script(server, PACKAGE, "release", keys.record)
        self._overdue = Script(server, PACKAGE, "overdue", keys.record)

    def groups(self) -> dict[str, int]:
        flat = self._server.call("HGETALL", self._groups)
        return {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)}

    def release(self, group: str, limit: int) -> int:
        return int(self._release(group, limit))

    def overdue(self, limit: int) -> list[str]:
        return [id.decode() for id in self._overdue(limit)]
