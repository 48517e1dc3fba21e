"""How full everything is: exact numbers from a real store and from both engines' queues, in a few bounded trips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from taskbridge import Bridge, RateLimit, Settings
from taskbridge.announcement import Announcement, announce, limits_of
from taskbridge.config import BackendSettings
from taskbridge.message import Message
from taskbridge.needs import NeedsLock, NeedsTokens, Within
from taskbridge.operations import gauges as subject
from taskbridge.operations.gauges import Limit, Run, Serving, Stored, Waiting, at_broker, gauges, in_store
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import a_run, goes_on, start
from taskbridge.testing.laws.steps import begin, run
from tests.servers import RedisServer, age, free_port, in_time

pytestmark = [pytest.mark.service("redis"), pytest.mark.usefixtures("standing")]

HOUR_MS = 3_600_000
SLOW = NeedsTokens("slow", "slow", HOUR_MS * 1000, 1)
ENGINES = ("celery", "dramatiq")


@pytest.fixture
def bridge(redis_server: RedisServer) -> Iterator[Bridge]:
    """Of both engines, on one server that is the store too."""
    redis_server.cli().flushall()
    with closing(bridge_on(redis_server)) as made:
        yield made


@pytest.fixture
def alone() -> Iterator[RedisServer]:
    """A server that nobody else asks."""
    with RedisServer() as server:
        yield server


def bridge_on(server: RedisServer) -> Bridge:
    backends = {name: BackendSettings(engine=name) for name in ENGINES}
    return Bridge(Settings(broker_url=server.url(), backends=backends))


def emails(count: int, **changes: Any) -> list[Message]:
    return [a_message(**{"queue": "emails", **changes}) for _ in range(count)]


def worker(bridge: Bridge, name: str, **changes: Any) -> None:
    """Have a worker announce itself."""
    told: dict[str, Any] = {"backends": ["celery"], "queues": ["emails"], "processes": 2, "tasks": {}} | changes
    announce(bridge.store, Announcement(name=name, **told))


def waiting(bridge: Bridge, *queues: str) -> dict[tuple[str, str], Waiting]:
    """What waits, by backend and queue."""
    return {(one.backend, each.queue): each for one in gauges(bridge, queues).brokers for each in one.waiting}


@pytest.mark.parametrize("engine", ENGINES)
def test_each_engine_tells_how_much_waits_and_for_how_long(bridge: Bridge, engine: str):
    """In all bands; the other one's queue of that name is empty, and so is a queue that nobody has sent to."""
    now_ms = bridge.store.now_ms()
    bridge.backend(engine).publish(emails(2, priority=9, enqueued_at_ms=now_ms - 60_000))
    bridge.backend(engine).publish(emails(3, enqueued_at_ms=now_ms - 30_000))

    found = waiting(bridge, "emails", "empty")

    other = {"celery": "dramatiq", "dramatiq": "celery"}[engine]
    assert {(name, queue) for name in ENGINES for queue in ("emails", "empty")} == set(found)
    assert (5, 0, 0) == tuple(found[at].length for at in [(engine, "emails"), (other, "emails"), (engine, "empty")])
    assert 60 <= (found[engine, "emails"].oldest_s or 0) < 70
    assert [0.0, 0.0] == [found[at].oldest_s for at in [(other, "emails"), (engine, "empty")]]


def test_age_is_by_the_clock_of_the_store(bridge: Bridge):
    """Producers stamp messages by it; a stamp that is ahead of it is of now."""
    bridge.backend("celery").publish(emails(1, enqueued_at_ms=1_000_000))

    ages = [at_broker(bridge, "celery", ["emails"], now_ms).waiting[0].oldest_s for now_ms in (1_090_000, 990_000)]

    assert [90.0, 0.0] == ages


def test_each_state_of_the_store_is_counted(bridge: Bridge):
    """By queue, exactly; what a worker runs by its backend, too."""
    store = bridge.store
    store.outbox.put(emails(4), 60_000)
    for n in range(3):
        begin(store, emails(1)[0], f"host.1.ab.0.1:celery:{n}", locks=(NeedsLock("a"),))
        begin(store, emails(1, queue="slow")[0], f"host.1.ab.0.1:dramatiq:{n}", rates=(SLOW,))
    run(store, emails(1)[0], "p", "PARKED", due_ms=60_000, group="g")
    for n in range(5):
        run(store, emails(1)[0], f"d{n}", "DEAD", why="no")
    walk = start(store, "host.1.ab.0.1:celery:9", message=a_run())
    store.runs.steer(walk.id, "pause")
    goes_on(store, walk, "host.1.ab.0.1:celery:9")
    begin(store, emails(1)[0], "own-command")
    store.outbox.put(emails(1), 0)

    found = in_store(bridge)

    stored = {one.queue: one for one in found.stored}
    assert Stored(queue="emails", delayed=4, ready=1, locked=2, parked=1, dead=5) == stored["emails"]
    assert Stored(queue="slow", throttled=2) == stored["slow"]
    assert Stored(queue="walks", held=1) == stored["walks"]
    assert {("celery", "emails"): 1, ("dramatiq", "slow"): 1, ("", "emails"): 1} == found.running
    assert 3 == found.claims


def test_limits_tell_their_rate_and_who_waits(bridge: Bridge):
    """The rate is the one that was set, or else what a live worker's tasks say; 0 while it is paused, or not known."""
    declaring = Bridge(Settings(backend="memory"))
    declaring.task(name="t", rate_limit=RateLimit("70/s", name="provider"))(lambda: None)
    declaring.task(name="u", rate_limit=RateLimit("2/m"))(lambda: None)
    worker(bridge, "one", limits=limits_of(declaring.definitions))
    bridge.store.waiting.set_limit("u", interval_us=500_000, burst=1)
    bridge.store.waiting.set_limit("shut", paused=True)
    for n in range(5):
        begin(bridge.store, a_message(), f"c{n}", rates=(NeedsTokens("slow", f"slow:{n % 2}", HOUR_MS * 1000, 1),))

    found = in_store(bridge)

    assert [
        Limit(name="slow", per_s=None, waiting=3, keys=2),
        Limit(name="provider", per_s=pytest.approx(70, rel=1e-4), waiting=0, keys=0),
        Limit(name="shut", per_s=0.0, waiting=0, keys=0),
        Limit(name="u", per_s=2.0, waiting=0, keys=0),
    ] == found.limits
    assert 2 == found.limit_keys


def test_runs_tell_how_far_they_are(bridge: Bridge, redis_server: RedisServer):
    """Those that go on, the newest first, and what they do; a total that is not known is none."""
    for id, total in [("r1", 100), ("r2", -1), ("r3", 50), ("r4", 100)]:
        chunk = start(bridge.store, id, message=a_run(id=id), total=total)
        if id != "r4":
            goes_on(bridge.store, chunk, id)
        age(redis_server.cli(), "taskbridge", 1_000)
    bridge.store.runs.steer("r2", "pause")
    bridge.store.runs.steer("r4", "cancel")

    found = in_store(bridge).runs

    of: dict[str, Any] = {"task": "tests.walk", "queue": "walks", "open": 0}
    assert [
        Run(id="r4", state="stopping", done=0, total=100, **of),
        Run(id="r3", state="running", done=10, total=50, **of),
        Run(id="r2", state="paused", done=10, total=None, **of),
        Run(id="r1", state="running", done=10, total=100, **of),
    ] == found


def test_workers_tell_what_they_serve(bridge: Bridge):
    """Per backend and queue how many workers and processes, and both in all; groups count where they stand."""
    worker(bridge, "one", backends=["celery", "dramatiq"], queues=["emails", "slow"], processes=5)
    worker(bridge, "two", queues=["emails", "idle"], processes=3, serving={"emails": 3, "idle": 0})

    found = in_store(bridge)

    assert [
        Serving(backend="celery", queue="emails", workers=2, processes=8),
        Serving(backend="celery", queue="slow", workers=1, processes=5),
        Serving(backend="dramatiq", queue="emails", workers=1, processes=5),
        Serving(backend="dramatiq", queue="slow", workers=1, processes=5),
    ] == found.serving
    assert (2, 8) == (found.workers, found.processes)
    assert ["emails", "slow", "idle"] == found.queues


def test_relay_tells_who_leads_and_how_late_it_is(bridge: Bridge, redis_server: RedisServer):
    """The most overdue one counts. Batches are counted while they have open members."""
    found = in_store(bridge)
    assert ("", 0.0, 0) == (found.leader, found.lag_s, found.batches)
    bridge.store.batches.open("b", when="all_done", then=None, error=None)
    bridge.store.outbox.put(emails(2), 1_000, Within(batches=("b",)))
    age(redis_server.cli(), "taskbridge", 31_000)
    bridge.store.leader.hold("relay", "host.1.ab", 600_000)

    found = in_store(bridge)

    assert ("host.1.ab", 1) == (found.leader, found.batches)
    assert 30 <= found.lag_s < 40


def test_queues_of_an_engine_that_nobody_serves_are_shown_while_they_hold_messages(redis_server: RedisServer):
    """A plain engine on the same broker: what was left there is seen; what is empty is not."""
    redis_server.cli().flushall()
    bridge = Bridge(Settings(broker_url=redis_server.url()))
    bridge.backend("dramatiq").publish(emails(2))

    assert {("celery", "emails"): 0, ("celery", "slow"): 0, ("dramatiq", "emails"): 2} == {
        at: one.length for at, one in waiting(bridge, "emails", "slow").items()
    }
    bridge.close()


def test_what_does_not_answer_is_told_and_the_rest_is_read(redis_server: RedisServer):
    """A broker that is away, by its backend's name and without its password; a store that is away."""
    redis_server.cli().flushall()
    nowhere = f"redis://:hush@127.0.0.1:{free_port()}/0"
    old = {"old": BackendSettings(engine="dramatiq", broker_url=nowhere)}
    half = Bridge(Settings(broker_url=redis_server.url(), backends=old))
    half.backend("celery").publish(emails(2))

    found = gauges(half, ["emails"])

    assert found.store is not None
    assert [("celery", 2)] == [(one.backend, one.waiting[0].length) for one in found.brokers]
    (problem,) = found.problems
    assert problem.startswith("backend old: the broker redis://:***@127.0.0.1")
    half.close()

    other = Bridge(Settings(broker_url=redis_server.url(), store_url=nowhere))
    found = gauges(other, ["emails"])

    assert found.store is None
    assert [("celery", 2)] == [(one.backend, one.waiting[0].length) for one in found.brokers]
    (problem,) = found.problems
    assert problem.startswith("the store: redis://:***@127.0.0.1")
    other.close()


def test_queues_of_one_process_cannot_be_seen():
    """The memory backend's: it says so."""
    assert ["backend memory: its queues live in one process and cannot be seen from here"] == (
        gauges(Bridge(Settings(backend="memory"))).problems
    )


def test_of_too_many_queues_and_limits_the_rest_is_one(bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """Those that were asked for and those that are served come first; nothing is lost of what the store counts."""
    monkeypatch.setattr(subject, "MOST_QUEUES", 3)
    monkeypatch.setattr(subject, "MOST_LIMITS", 2)
    worker(bridge, "one", queues=["served"], limits=dict.fromkeys("abcd", (1_000_000, 1)))
    for n in range(6):
        bridge.store.outbox.put(emails(n + 1, queue=f"q{n}"), 60_000)
        begin(bridge.store, a_message(queue=f"q{n}"), f"host.1.ab.0.1:celery:{n}")
    for n in range(2):
        begin(bridge.store, a_message(queue="q5"), f"z{n}", rates=(NeedsTokens("z", "z", HOUR_MS * 1000, 1),))

    found = in_store(bridge, ["asked"])

    assert ["asked", "served", "q0"] == found.queues
    assert {"asked": 0, "served": 0, "q0": 1, "other": 20} == {one.queue: one.delayed for one in found.stored}
    assert {("celery", "q0"): 1, ("celery", "other"): 5, ("", "other"): 1} == found.running
    assert ["z", "a"] == [one.name for one in found.limits]


def test_strange_names_do_no_harm(bridge: Bridge):
    """A foreign producer's queue may be called anything; no engine is asked for one that it cannot have."""
    run(bridge.store, a_message(queue="q\x1b[2J {x}"), "c", "DEAD", why="no")

    found = gauges(bridge)

    assert found.store is not None
    assert ["q\x1b[2J {x}"] == [one.queue for one in found.store.stored]
    assert [[], []] == [one.waiting for one in found.brokers]


def test_a_full_store_costs_hardly_more_than_an_empty_one(alone: RedisServer, monkeypatch: pytest.MonkeyPatch):
    """A hundred thousand delayed, thousands of keys and claims: one trip more, and a bounded number of commands."""
    trips: list[int] = []
    with closing(bridge_on(alone)) as bridge:
        server = bridge.store.server  # type: ignore[attr-defined]  # of a store in Redis
        exchange = server.exchange
        monkeypatch.setattr(server, "exchange", lambda packed, n: trips.append(n) or exchange(packed, n))
        in_store(bridge)
        empty = len(trips)
        fill(bridge)
        trips.clear()
        before = commands(alone)

        found = in_store(bridge)

        called, made = commands(alone) - before, len(trips)
        in_time(lambda: in_store(bridge), 2.0)
    stored = {one.queue: one for one in found.stored}
    assert (100_000, 3_000, 3_000) == (stored["emails"].delayed, stored["slow"].throttled, found.limit_keys)
    assert (2_500, 2_000) == (found.claims, sum(found.running.values()))
    assert (2, 3) == (empty, made)
    assert 3 * subject.LOOKED_AT > called


def fill(bridge: Bridge) -> None:
    """Put a hundred thousand delayed messages, and thousands of other things, into the store."""
    store = bridge.store
    for _ in range(100):
        store.outbox.put(emails(1_000), HOUR_MS)
    for n in range(2_500):
        begin(store, a_message(queue="running"), f"host.1.ab.0.1:celery:{n}")
    store.waiting.set_limit("slow", paused=True)
    for n in range(3_000):
        key = NeedsTokens("slow", f"slow:{n}", HOUR_MS * 1000, 1)
        begin(store, a_message(queue="slow"), f"t{n}", rates=(key,))


def commands(server: RedisServer) -> int:
    """How many commands the server has done, those of scripts too."""
    stats: Any = server.cli().info("commandstats")
    return sum(int(one["calls"]) for one in stats.values())
