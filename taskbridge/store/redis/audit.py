"""The audit log in Redis: a list, five words an entry, the newest last."""

from __future__ import annotations

from ...redis.script import Script
from ...redis.server import Server
from ..audit import KEPT, Entry
from ..keys import Keys
from .claims import PACKAGE

#: How many words an entry has.
WIDTH = 5


class RedisAudit:
    """The last entries."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._key = keys.audit
        self._note = Script(server, PACKAGE, "note", [keys.audit])

    def note(self, who: str, verb: str, subject: str, detail: str = "") -> None:
        self._note(KEPT, who, verb, subject, detail)

    def read(self, limit: int, offset: int = 0) -> list[Entry]:
        if limit <= 0:
            return []
        last = -WIDTH * offset - 1
        flat = self._server.call("LRANGE", self._key, last - WIDTH * limit + 1, last)
        return [_entry(flat[i : i + WIDTH]) for i in range(len(flat) - WIDTH, -1, -WIDTH)]


def _entry(words: list[bytes]) -> Entry:
    at_ms, who, verb, subject, detail = (word.decode(errors="replace") for word in words)
    return Entry(at_ms=int(at_ms), who=who, verb=verb, subject=subject, detail=detail)
