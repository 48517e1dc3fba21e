"""Know at once that a list has got something, whoever pushed it, without taking it and without polling.

The server tells a connection that has looked at a key when the key changes (CLIENT TRACKING): two connections watch any
number of lists, producers need not cooperate, and a quiet queue costs nothing. A server that denies it is polled.
Source: redis.io, "Client-side caching in Redis", RESP2 with REDIRECT; tried on 6.2.14 and 7.0.15.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from redis.exceptions import RedisError, ResponseError

from .server import Server, pack

#: After ringing, look again no sooner than this, seconds: a busy queue changes thousands of times a second.
PAUSE_S = 0.02

#: The same where at most so many wait: what comes one after another, such as the links of a chain, is not held up.
FEW, SHORT_PAUSE_S = 4, 0.004

#: How often to look when the server tells nothing, seconds.
POLL_S = 0.25

#: How often a quiet watch looks at whether it should stop, seconds.
PATIENCE_S = 0.5


def watch(server: Server, lists: Sequence[str], ring: Callable[[], None], stopping: Event) -> None:
    """Call ``ring`` whenever one of the lists is not empty, until ``stopping`` is set; reconnects by itself."""
    look = b"".join(pack(("LLEN", key)) for key in lists)
    while not stopping.is_set():
        ears = eyes = None
        try:
            ears, eyes = server.connect(), server.connect()
            told = _listen(ears, eyes)
            while not stopping.is_set():
                if waiting := _waiting(eyes, look, len(lists)):
                    ring()
                    stopping.wait(PAUSE_S if waiting > FEW else SHORT_PAUSE_S)
                if told:
                    _wait(ears)
                else:
                    stopping.wait(POLL_S)
        except (RedisError, OSError):
            stopping.wait(POLL_S)
        finally:
            for connection in (ears, eyes):
                if connection is not None:
                    connection.disconnect()


def _listen(ears: Any, eyes: Any) -> bool:
    """Have the server tell ``ears`` what changes among the keys that ``eyes`` has read; False where it will not."""
    try:
        client = _ask(ears, pack(("CLIENT", "ID")))
        _ask(ears, pack(("SUBSCRIBE", "__redis__:invalidate")))
        _ask(eyes, pack(("CLIENT", "TRACKING", "ON", "REDIRECT", client)))
    except ResponseError:
        return False
    return True


def _waiting(eyes: Any, look: bytes, replies: int) -> int:
    eyes.send_packed_command([look], check_health=False)
    return sum(int(eyes.read_response()) for _ in range(replies))


def _wait(ears: Any) -> None:
    """Wait until something changed, or patience ends; then read all that was told."""
    timeout = PATIENCE_S
    while ears.can_read(timeout=timeout):
        ears.read_response()
        timeout = 0


def _ask(connection: Any, packed: bytes) -> Any:
    connection.send_packed_command([packed], check_health=False)
    return connection.read_response()
