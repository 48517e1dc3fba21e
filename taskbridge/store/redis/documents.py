"""Small announcements in Redis that lapse."""

from __future__ import annotations

from ...redis.script import Script
from ...redis.server import Argument, Server
from ..keys import Keys
from .claims import PACKAGE


class RedisDocuments:
    """Which workers live, and what they know."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._keys = keys
        self._announce = Script(server, PACKAGE, "announce", [], more_keys=2)
        self._announced = Script(server, PACKAGE, "announced", [], more_keys=2)

    def put(self, kind: str, key: str, value: bytes, lease_ms: int) -> list[str]:
        return self._said(*self._keys.documents(kind), key, value, lease_ms)

    def all(self, kind: str) -> dict[str, bytes]:
        flat = self._announced(*self._keys.documents(kind))
        return {flat[i].decode(): bytes(flat[i + 1]) for i in range(0, len(flat), 2)}

    def remove(self, kind: str, key: str) -> list[str]:
        return self._said(*self._keys.documents(kind), key, b"", 0)

    def _said(self, *words: Argument) -> list[str]:
        return [key.decode() for key in self._announce(*words)]
