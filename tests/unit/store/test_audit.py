"""The audit log is bounded, in both stores."""

from __future__ import annotations

import pytest

from taskbridge.store import Store, memory, redis
from taskbridge.store.memory import MemoryStore
from taskbridge.store.memory import audit as in_memory
from taskbridge.store.redis import RedisStore
from taskbridge.store.redis import audit as in_redis
from tests.servers import RedisServer


@pytest.mark.parametrize("kind", [memory, redis])
def test_oldest_are_forgotten(kind: object, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch):
    """So many are kept, and no more."""
    for module in (in_memory, in_redis):
        monkeypatch.setattr(module, "KEPT", 3)
    redis_server.cli().flushall()
    store: Store = MemoryStore() if kind is memory else RedisStore(redis_server.url(), "audit")

    for n in range(5):
        store.audit.note("me", "purge", str(n))

    assert ["4", "3", "2"] == [one.subject for one in store.audit.read(10)]
