"""One leader per duty in Redis, by lease."""

from __future__ import annotations

from ...redis.script import Script
from ...redis.server import Server
from ..keys import Keys
from .claims import PACKAGE


class RedisLeader:
    """The owner's name under a key that lapses."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._keys = keys
        self._hold = Script(server, PACKAGE, "hold", [], more_keys=1)

    def hold(self, duty: str, owner: str, lease_ms: int) -> bool:
        return bool(self._hold(self._keys.leader(duty), owner, lease_ms))

    def resign(self, duty: str, owner: str) -> None:
        self._hold(self._keys.leader(duty), owner, 0)
