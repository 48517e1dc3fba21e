"""A store in Redis that lives by a fake clock: its scripts word for word but for where they read the time."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge.redis import script
from taskbridge.store.redis import RedisStore
from taskbridge.testing import FakeClock
from tests.servers import RedisServer

#: The clock of the scripts, and what reads a script without its cache.
NOW = "{model}:now"
REAL_SOURCE = script.source.__wrapped__


class FakedRedis:
    """A server's store in which time passes when it is told so.

    Args:
        server: where it is.
        monkeypatch: puts the scripts back when the test is over.
    """

    def __init__(self, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(script, "source", on_a_fake_clock)
        self.client: Any = server.cli()
        self.clock = FakeClock()
        self.store = RedisStore(server.url(), "model")

    def empty(self) -> None:
        """Forget everything but the time."""
        self.client.flushall()
        self.advance(0)

    def advance(self, ms: int) -> None:
        """Let so much time pass."""
        self.clock.advance(ms / 1000)
        self.client.hset(NOW, mapping={"s": self.clock.now_ms() // 1000, "us": self.clock.now_ms() % 1000 * 1000})


def on_a_fake_clock(package: str, name: str) -> str:
    """The text of a script that takes a hash for the server's clock."""
    text = REAL_SOURCE(package, name)
    assert text.count("'TIME'") == text.count("redis.call('TIME')")
    return text.replace("redis.call('TIME')", f"redis.call('HMGET', '{NOW}', 's', 'us')")
