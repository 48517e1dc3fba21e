"""What a supervisor keeps for its children, on a real Redis: each group's bell, what is announced, is the store fit."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping

import msgspec
import pytest

from taskbridge import Bridge, Settings
from taskbridge.announcement import announced
from taskbridge.errors import StoreUnfit
from taskbridge.testing import a_message
from taskbridge.worker.keep import Keep
from taskbridge.worker.options import Group, Ready, WorkerOptions
from taskbridge.worker.posts import Post
from taskbridge.worker.slots import SLOT_SIZE, Slot
from tests.servers import HOST, RedisServer, until

pytestmark = pytest.mark.service("redis")

GROUPS = {"high": ["urgent"], "low": ["emails", "urgent"], "idle": ["reports"]}


class Kept:
    """A keep of three groups that has one child in high and two in low, and the bells it strikes."""

    def __init__(self, url: str, engine: str) -> None:
        self.bridge = Bridge(Settings(backend=engine, broker_url=url))
        self.bells = {name: os.pipe() for name in GROUPS}
        for ends in self.bells.values():
            os.set_blocking(ends[0], False)
        memory = mmap.mmap(-1, 3 * SLOT_SIZE)
        self.posts = [Post(n, Slot(memory, n), name) for n, name in enumerate(["high", "low", "low"])]
        settings = msgspec.Raw(msgspec.json.encode({"backend": engine, "broker_url": url}))
        groups = [Group(name=name, queues=queues) for name, queues in GROUPS.items()]
        ready = Ready(tasks={"t": ["a"]}, queues=GROUPS, settings=settings, limits={"provider": (14_286, 7)})
        strike = {name: ends[1] for name, ends in self.bells.items()}
        self.keep = Keep(WorkerOptions(modules=[], groups=groups), ready, lambda: self.posts, strike)

    def rings(self) -> Mapping[str, bool]:
        """Which bells have rung since the last look."""
        return {name: self._heard(end) for name, (end, _) in self.bells.items()}

    def close(self) -> None:
        self.keep.stop()
        self.bridge.close()
        for ends in self.bells.values():
            for end in ends:
                os.close(end)

    def _heard(self, end: int) -> bool:
        try:
            return bool(os.read(end, 1000))
        except BlockingIOError:
            return False


@pytest.fixture(params=["celery", "dramatiq"])
def kept(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[Kept]:
    redis_server.cli().flushall()
    made = Kept(redis_server.url(), request.param)
    yield made
    made.close()


def test_a_message_rings_the_bells_of_its_groups(kept: Kept):
    """And no other: it wakes a child of each group that serves its queue."""
    kept.keep.start()
    rung: set[str] = set()

    def rings() -> set[str]:
        rung.update(name for name, rang in kept.rings().items() if rang)
        return rung

    kept.bridge.backend(kept.bridge.settings.backend).publish([a_message(queue="emails")])
    until(rings, 5, "a bell rings")
    assert {"low"} == rings()

    kept.bridge.backend(kept.bridge.settings.backend).publish([a_message(queue="urgent")])
    until(lambda: "high" in rings(), 5, "high's rings too")
    assert {"high", "low"} == rings()
    until(lambda: [True, True, False] == [kept.keep.work_waits(name, 60) for name in GROUPS], 5, "work waits there")


def test_processes_are_announced_where_they_stand(kept: Kept):
    """By queue, over all groups that have it, and limits; told anew as soon as one moves to another generation."""
    store = kept.bridge.store
    kept.keep.start()
    (found,) = until(lambda: announced(store), 5, "it is announced")
    assert (3, {"urgent": 3, "emails": 2, "reports": 0}) == (found.processes, found.serving)
    assert {"provider": (14_286, 7)} == found.limits

    kept.posts = kept.posts[:2]

    until(lambda: announced(store)[0].serving == {"urgent": 2, "emails": 1, "reports": 0}, 2, "it is told anew")
    kept.keep.stop()
    assert [] == announced(store)


def test_a_store_that_is_away_is_waited_for():
    """Neither fit nor unfit, until it has answered; and a keep that was never started can be stopped."""
    server = RedisServer()
    kept = Kept(f"redis://{HOST}:{server.port}/0", "celery")
    try:
        kept.keep.look_at_the_store()
        assert (False, None) == (kept.keep.fit, kept.keep.unfit)
        with server:
            until(lambda: kept.keep.fit, 10, "it is fit")
    finally:
        kept.close()


def test_a_store_that_would_lose_data_is_refused():
    """With the setting to change."""
    with RedisServer(settings={"maxmemory-policy": "allkeys-lru"}, maxmemory="50mb") as server:
        kept = Kept(server.url(), "celery")
        kept.keep.look_at_the_store()

        error = until(lambda: kept.keep.unfit, 10, "it is looked at")

        assert isinstance(error, StoreUnfit)
        assert "maxmemory-policy" in str(error)
        assert not kept.keep.fit
        kept.close()
