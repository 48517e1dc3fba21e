"""Wait for a token in a list, and be back to the millisecond when none comes.

A server looks at the timeouts of those it blocks only ``hz`` times a second, ten by default: whoever asks to be blocked
for 20 ms is back after 100. So the question stays asked on a connection of its own while the caller goes away for what
is due, and the next wait goes on listening for its answer.
Source: redis.conf, ``hz``; Redis ``blocked.c`` and ``timeout.c``; measured on 7.0.15.
"""

from __future__ import annotations

import os
from typing import Any

from redis.exceptions import RedisError

from .server import Server, pack

#: How long one question stays asked, seconds: whoever stops listening takes at most one token along.
ASKED_FOR_S = 1


class Bell:
    """A list that rings, heard by one thread.

    Args:
        server: where it is.
        key: the list.
    """

    def __init__(self, server: Server, key: str) -> None:
        self._server = server
        self._ask = pack(("BLPOP", key, ASKED_FOR_S))
        self._ear: Any = None
        self._asked = False
        self._pid = 0

    def wait(self, timeout_s: float) -> bool:
        """Wait for a token, at most so long; returns whether one came.

        Raises:
            StoreUnavailable, StoreUnfit: as ``Server.call``.
        """
        try:
            if self._ear is None or self._pid != os.getpid():
                self._ear, self._asked, self._pid = self._server.connect(), False, os.getpid()
            if not self._asked:
                self._ear.send_packed_command([self._ask], check_health=False)
                self._asked = True
            if not self._ear.can_read(timeout=timeout_s):
                return False
            self._asked = False
            return self._ear.read_response() is not None
        except BaseException as error:
            self.close()
            if isinstance(error, RedisError | OSError):
                raise self._server.translated(error) from error
            raise

    def close(self) -> None:
        """Hang up."""
        if self._ear is not None and self._pid == os.getpid():
            self._ear.disconnect()
        self._ear = None
