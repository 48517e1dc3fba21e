"""The route table in Redis: a list of its last versions, five words each, the newest last."""

from __future__ import annotations

from ...errors import StoreUnfit
from ...redis.script import Script
from ...redis.server import Server
from ..keys import Keys
from ..routes import KEPT, RoutesVersion
from .claims import PACKAGE

#: How many words a version has.
WIDTH = 5

#: How long a read waits for one answer, seconds.
PATIENCE_S = 0.5


class RedisRoutes:
    """Read over connections that no thread keeps, and for which nobody waits long."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._brief = Server(server.url, socket_timeout_s=PATIENCE_S)
        self._key = keys.routes
        self._write = Script(server, PACKAGE, "write_routes", [keys.routes])

    def read(self, known: int = -1) -> RoutesVersion | None:
        if (self._brief.ask("LINDEX", self._key, -WIDTH) or b"0") == b"%d" % known:
            return None
        found = self._versions(self._brief.ask("LRANGE", self._key, -WIDTH, -1))
        return found[0] if found else RoutesVersion()

    def write(self, version: int, document: bytes, *, who: str, note: str) -> int:
        return int(self._write(version, who, note, document, KEPT))

    def history(self, limit: int) -> list[RoutesVersion]:
        return self._versions(self._server.call("LRANGE", self._key, -WIDTH * limit, -1))[::-1] if limit > 0 else []

    def close(self) -> None:
        """Give the connections back."""
        self._brief.close()

    def _versions(self, flat: list[bytes]) -> list[RoutesVersion]:
        """Read what was written, and nothing else.

        Raises:
            StoreUnfit: somebody else has written there.
        """
        try:
            return [_version(flat[i : i + WIDTH]) for i in range(0, len(flat), WIDTH)]
        except ValueError:
            raise StoreUnfit(f"{self._server.shown} has something else than routes in {self._key}") from None


def _version(words: list[bytes]) -> RoutesVersion:
    version, at_ms, who, note, document = words
    return RoutesVersion(
        version=int(version), at_ms=int(at_ms), who=who.decode(), note=note.decode(), document=document
    )
