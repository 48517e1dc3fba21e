"""What a task costs in round trips: two where nothing waits, whatever its policies."""

from __future__ import annotations

import mmap
from typing import Any

import pytest

from taskbridge import Bridge, Lock, RateLimit, Settings
from taskbridge.backend import Delivery
from taskbridge.relay import relay_of
from taskbridge.worker.loop import Loop, Source
from taskbridge.worker.slots import SLOT_SIZE, Slot
from tests.servers import RedisServer

pytestmark = pytest.mark.service("redis")

COUNT = 20

POLICIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "lock": {"lock": Lock("user:{user}")},
    "rate_limit": {"rate_limit": RateLimit("1000/s", key="{user}")},
    "unique": {"unique": "until_started"},
    "timeout": {"timeout": 30},
    "all": {
        "lock": [Lock("user:{user}"), Lock("account:{user}")],
        "rate_limit": [RateLimit("1000/s", key="{user}"), RateLimit("10000/s", name="all")],
        "unique": "until_done",
        "timeout": 30,
    },
}


def trips(server: RedisServer, engine: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run so many tasks one by one; returns how many scripts the child has called meanwhile, but for its fetches."""
    server.cli().flushall()
    bridge = Bridge(Settings(backend=engine, broker_url=server.url()))

    @bridge.task(name="t", queue="mail", **options)
    def task(user: int) -> None: ...

    for user in range(COUNT):
        task.enqueue(user)
    relay = relay_of(bridge.sender, "here")
    relay.lead()
    while relay.tick():
        pass
    backend = bridge.backend(engine)
    fetches = 0
    consumer = backend.consumer(["mail"], "here", bridge.store)
    fetch = consumer.fetch

    def counted(limit: int) -> list[Delivery]:
        nonlocal fetches
        fetches += 1
        return fetch(limit)

    monkeypatch.setattr(consumer, "fetch", counted)
    source = Source(backend=engine, consumer=consumer, runner=backend.runner(bridge.definitions))
    loop = Loop("here", [source], bridge.runtime, Slot(mmap.mmap(-1, SLOT_SIZE), 0), lambda *_: None, lambda: None)
    before = commands(server)
    while loop.step():
        pass
    sent = commands(server) - before - fetches
    assert not backend.depth("mail")
    assert not bridge.store.messages.counts()
    bridge.close()
    return sent


def commands(server: RedisServer) -> int:
    """How many scripts clients have called; a child calls nothing else."""
    stats: Any = server.cli().info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_policies_cost_no_trip(redis_server: RedisServer, engine: str, monkeypatch: pytest.MonkeyPatch):
    """A task with locks, limits and uniqueness makes as many calls as one without, begin and finish for each."""
    trips(redis_server, engine, {}, monkeypatch)  # the server knows the scripts after that

    sent = {name: trips(redis_server, engine, options, monkeypatch) for name, options in POLICIES.items()}

    assert dict.fromkeys(POLICIES, 2 * COUNT) == sent
