"""A versioned document in Redis: a list of its last versions, five words each, the newest last."""

from __future__ import annotations

from ...errors import StoreUnfit
from ...redis.script import Script
from ...redis.server import Server
from ..versions import KEPT, Version
from .claims import PACKAGE

#: How many words a version has.
WIDTH = 5

#: How long a read waits for one answer, seconds.
PATIENCE_S = 0.5


class RedisVersions:
    """Read over connections that no thread keeps, and for which nobody waits long.

    Args:
        server: where it lies.
        key: under which.
        what: it is, in the plural, for an error.
    """

    def __init__(self, server: Server, key: str, what: str) -> None:
        self._server = server
        self._brief = Server(server.url, socket_timeout_s=PATIENCE_S)
        self._key = key
        self._what = what
        self._write = Script(server, PACKAGE, "write_version", [key])

    def read(self, known: int = -1) -> Version | None:
        if known >= 0 and (self._brief.ask("LINDEX", self._key, -WIDTH) or b"0") == b"%d" % known:
            return None
        found = self._versions(self._brief.ask("LRANGE", self._key, -WIDTH, -1))
        return found[0] if found else Version()

    def write(self, version: int, document: bytes, *, who: str, note: str) -> int:
        return int(self._write(version, who, note, document, KEPT))

    def history(self, limit: int) -> list[Version]:
        return self._versions(self._server.call("LRANGE", self._key, -WIDTH * limit, -1))[::-1] if limit > 0 else []

    def close(self) -> None:
        """Give the connections back."""
        self._brief.close()

    def _versions(self, flat: list[bytes]) -> list[Version]:
        """Read what was written, and nothing else.

        Raises:
            StoreUnfit: somebody else has written there.
        """
        try:
            return [_version(flat[i : i + WIDTH]) for i in range(0, len(flat), WIDTH)]
        except ValueError:
            raise StoreUnfit(f"{self._server.shown} has something else than {self._what} in {self._key}") from None


def _version(words: list[bytes]) -> Version:
    version, at_ms, who, note, document = words
    return Version(version=int(version), at_ms=int(at_ms), who=who.decode(), note=note.decode(), document=document)
