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
from taskbridge.operations.workers import scale
from taskbridge.testing import a_message
from taskbridge.worker.keep import Keep
from taskbridge.worker.options import Group, Ready, WorkerOptions
from taskbridge.worker.posts import Post
from taskbridge.worker.slots import SLOT_SIZE, Slot
from tests.servers import HOST, RedisServer, replica_of, until

pytestmark = pytest.mark.service("redis")

GROUPS = {"high": ["urgent"], "low": ["emails", "urgent"], "idle": ["reports"]}


class Kept:
    """A keep of three groups that has one child in high and two in low, and the bells it strikes."""

    def __init__(self, url: str, engine: str, **words: str) -> None:
        self.bridge = Bridge(Settings(backend=engine, broker_url=url))
        self.bells = {name: os.pipe() for name in GROUPS}
        for ends in self.bells.values():
            os.set_blocking(ends[0], False)
        memory = mmap.mmap(-1, 3 * SLOT_SIZE)
        self.posts = [Post(n, Slot(memory, n), name) for n, name in enumerate(["high", "low", "low"])]
        settings = msgspec.Raw(msgspec.json.encode({"backend": engine, "broker_url": url, **words}))
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
    until(rings, 20, "a bell rings")
    assert {"low"} == rings()

    kept.bridge.backend(kept.bridge.settings.backend).publish([a_message(queue="urgent")])
    until(lambda: "high" in rings(), 20, "high's rings too")
    assert {"high", "low"} == rings()
    until(lambda: [True, True, False] == [kept.keep.work_waits(name, 600) for name in GROUPS], 20, "work waits there")


def test_processes_are_announced_where_they_stand(kept: Kept, monkeypatch: pytest.MonkeyPatch):
    """By queue, over all groups that have it, and limits; told anew as soon as one moves to another generation."""
    monkeypatch.setattr("taskbridge.worker.keep.ANNOUNCE_EVERY_S", 3_600.0)  # not because it is time
    store = kept.bridge.store
    kept.keep.start()
    (found,) = until(lambda: announced(store), 20, "it is announced")
    assert (3, {"urgent": 3, "emails": 2, "reports": 0}) == (found.processes, found.serving)
    assert {"provider": (14_286, 7)} == found.limits

    kept.posts = kept.posts[:2]

    until(lambda: announced(store)[0].serving == {"urgent": 2, "emails": 1, "reports": 0}, 20, "it is told anew")
    kept.keep.stop()
    assert [] == announced(store)


def test_a_keep_that_is_to_stop_begins_no_other_round(caplog: pytest.LogCaptureFixture):
    """Where the store hangs each takes as long as one answer may, and nobody could wait for the end of all."""
    with RedisServer() as server:
        kept = Kept(server.url(), "celery")
        kept.keep.start()
        until(lambda: announced(kept.bridge.store), 30, "it is announced")
        server.pause()
        until(lambda: failed(caplog), 60, "a round has failed")
        before = failed(caplog)

        kept.keep.stop()

        assert 1 >= len([what for what in failed(caplog)[len(before) :] if what != "withdrawing"])
        assert [] == [record for record in caplog.records if record.levelname == "ERROR"]
        server.resume()
        kept.close()


def failed(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What of a keep's work has failed, in order."""
    said = [record.getMessage() for record in caplog.records if record.name == "taskbridge.worker"]
    return [text.partition(" failed and is tried again")[0] for text in said if " failed and is tried again" in text]


def test_a_store_that_is_away_is_waited_for():
    """Neither fit nor unfit, until it has answered; and a keep that was never started can be stopped."""
    server = RedisServer()
    kept = Kept(f"redis://{HOST}:{server.port}/0", "celery")
    try:
        kept.keep.look_at_the_store()
        assert (False, None) == (kept.keep.fit, kept.keep.unfit)
        with server:
            until(lambda: kept.keep.fit, 20, "it is fit")
    finally:
        kept.close()


def test_what_operators_have_asked_is_known_before_the_first_child(redis_server: RedisServer):
    """A group that is to have none begins none."""
    kept = Kept(redis_server.url(), "celery", namespace="resting")
    try:
        kept.keep._announce()
        scale(kept.keep.bridge, "low", 0)
        kept.keep.look_at_the_store()
        until(lambda: kept.keep.fit, 20, "it is fit")
        assert 0 == kept.keep.orders.size("low", [])
    finally:
        kept.close()


def test_what_is_paused_is_known_before_the_first_child(redis_server: RedisServer):
    """Else the first child of a worker would run what wants no ledger though it is paused, or was cancelled."""
    kept = Kept(redis_server.url(), "celery", namespace="paused")
    try:
        kept.keep.bridge.store.control.pause("queue", "urgent", who="me", why="")
        kept.keep.look_at_the_store()
        until(lambda: kept.keep.fit, 20, "it is fit")
        assert kept.keep.paused
        assert kept.keep.records
    finally:
        kept.close()


def test_a_replica_that_is_not_there_is_waited_for():
    """Where ends wait for one, nothing is begun before one is attached; the worker stays."""
    with RedisServer() as server:
        kept = Kept(server.url(), "celery", store_wait="replica")
        try:
            kept.keep.look_at_the_store()
            until(lambda: server.cli().info("commandstats").get("cmdstat_wait"), 20, "it has looked")
            assert (False, None) == (kept.keep.fit, kept.keep.unfit)
            with replica_of(server):
                until(lambda: kept.keep.fit, 20, "it is fit")
        finally:
            kept.close()


def test_a_store_that_would_lose_data_is_refused():
    """With the setting to change."""
    with RedisServer(settings={"maxmemory-policy": "allkeys-lru"}, maxmemory="50mb") as server:
        kept = Kept(server.url(), "celery")
        kept.keep.look_at_the_store()

        error = until(lambda: kept.keep.unfit, 20, "it is looked at")

        assert isinstance(error, StoreUnfit)
        assert "maxmemory-policy" in str(error)
        assert not kept.keep.fit
        kept.close()
