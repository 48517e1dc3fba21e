"""One look at everything: what it tells is what is there, bounded, and a server that hangs holds up nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskbridge import Bridge, Settings
from taskbridge.announcement import Announcement, Known, announce
from taskbridge.config import BackendSettings
from taskbridge.migration.changes import book_now
from taskbridge.needs import NeedsLock, NeedsTokens
from taskbridge.operations import pace as subject
from taskbridge.operations.lookout import Lookout
from taskbridge.operations.overview import MOST, Place, overview
from taskbridge.operations.pace import TOLD_MS, throughput
from taskbridge.store.evidence import SLICE_MS, Slice
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message
from taskbridge.testing.laws.steps import begin, run
from tests.servers import RedisServer, in_time

pytestmark = [pytest.mark.service("redis"), pytest.mark.usefixtures("standing")]

ENGINES = ("celery", "dramatiq")


@pytest.fixture
def bridge(redis_server: RedisServer) -> Iterator[Bridge]:
    """Of both engines, on one server that is the store too."""
    redis_server.cli().flushall()
    made = on(redis_server)
    yield made
    made.close()


def on(store: RedisServer, broker: RedisServer | None = None) -> Bridge:
    """A bridge of both engines."""
    backends = {name: BackendSettings(engine=name) for name in ENGINES}
    return Bridge(Settings(broker_url=(broker or store).url(), store_url=store.url(), backends=backends))


def worker(name: str = "host.1.ab", **known: str) -> Announcement:
    """One that knows these tasks, by their queues."""
    return Announcement(
        name=name,
        backends=["celery"],
        queues=["emails"],
        processes=2,
        tasks={task: [] for task in known},
        known={task: Known(queue=queue) for task, queue in known.items()},
    )


def test_queues_workers_and_what_runs_are_told(bridge: Bridge):
    """Of each place what waits, runs and serves there; the longest first, with the worker whose process runs it."""
    announce(bridge.store, worker(pay="ledger"))
    bridge.backend("celery").publish([a_message(queue="emails") for _ in range(3)])
    first, second = a_message(queue="emails", task="pay"), a_message(queue="emails")
    begin(bridge.store, first, "host.1.ab.0.1:celery:1")
    begin(bridge.store, second, "host.1.abc.0.1:celery:2")
    run(bridge.store, a_message(queue="emails"), "d", "DEAD", why="no")

    found = overview(bridge, patience_s=20)

    (emails,) = found.queues
    assert ("emails", 3, 2, 0, 1) == (emails.name, emails.waiting, emails.running, emails.kept, found.dead)
    assert Place(backend="celery", waiting=3, oldest_s=None, running=2, workers=1, processes=2) == emails.places[0]
    assert [("host.1.ab", 2, 1)] == [(one.name, one.processes, one.running) for one in found.workers]
    told = {one.id: (one.task, one.backend, one.worker, one.attempt) for one in found.running}
    assert ("pay", "celery", "host.1.ab", 1) == told[first.id]
    assert "host.1.abc.0.1" == told[second.id][2]
    assert 2 == found.running_in_all
    assert [] == found.problems == list(found.old)


def test_what_waits_is_told_by_lock_and_limit(bridge: Bridge):
    """With who has the lock."""
    holder = a_message()
    begin(bridge.store, holder, "c0", locks=(NeedsLock("a"),))
    for n in range(2):
        begin(bridge.store, a_message(), f"l{n}", locks=(NeedsLock("a"),))
        begin(bridge.store, a_message(), f"r{n}", rates=(NeedsTokens("slow", "slow:7", 3_600_000_000, 1),))

    found = overview(bridge, patience_s=20)

    assert [("a", 2, (holder.id,))] == [(one.key, one.waiting, one.holders) for one in found.locks]
    assert [("slow", 1)] == [(one.name, one.waiting) for one in found.limits]


def test_a_paused_task_is_told_however_many_keys_are(bridge: Bridge):
    """What holds up most goes before keys, of which there may be more than are told."""
    for n in range(MOST + 5):
        bridge.store.control.pause("key", f"user:{n}", who="ann", why="")
    bridge.store.control.pause("task", "bank.pay", who="ann", why="")
    bridge.store.control.pause("queue", "emails", who="ann", why="")

    found = overview(bridge, patience_s=20)

    assert [("task", "bank.pay"), ("queue", "emails")] == [(one.kind, one.name) for one in found.pauses[:2]]
    assert MOST == len(found.pauses)


def test_a_broker_that_hangs_holds_up_nothing(redis_server: RedisServer):
    """What was seen there last stays, with how old it is; when it answers again, so is all."""
    redis_server.cli().flushall()
    with RedisServer() as broker:
        bridge = on(redis_server, broker)
        announce(bridge.store, worker(pay="emails"))
        bridge.backend("celery").publish([a_message(queue="emails")])
        lookout = Lookout(bridge, patience_s=10)
        assert [1] == [queue.waiting for queue in lookout.look().queues]
        lookout._patience_s = 4.0

        broker.pause()
        found = in_time(lookout.look, 2 * 4.0)

        assert {"celery"} <= set(found.old)
        assert "store" not in found.old
        assert [1] == [queue.waiting for queue in found.queues]
        assert "backend celery: no answer in time" in found.problems
        broker.resume()
        lookout._patience_s = 20
        lookout.look()
        assert {} == lookout.look().old
        lookout.close()
        bridge.close()


def test_a_store_that_was_never_seen_is_told():
    """Nothing is shown, and nothing is raised; no password is told."""
    bridge = Bridge(Settings(backend="celery", broker_url="redis://:hush@127.0.0.1:1/0"))

    found = overview(bridge, patience_s=5)

    assert float("inf") == found.old["store"]
    assert [] == list(found.running)
    assert "the store: " in found.problems[0]
    assert "hush" not in str(found.problems)
    bridge.close()


def test_a_book_of_a_newer_release_is_a_problem_and_no_more(bridge: Bridge):
    """All else is shown."""
    bridge.store.migrations.write(book_now(bridge.store)[0].version, b'{"form":99}', who="me", note="")

    found = overview(bridge, patience_s=20)

    assert "the migrations cannot be read" in found.problems[0]
    assert {} == found.old


class TestThroughput:
    """By a clock that is moved by hand."""

    def setup_method(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.clock.advance((SLICE_MS - self.clock.now_ms() % SLICE_MS) / 1000)  # a slice begins

    def look(self, *workers: Announcement) -> subject.Throughput:
        return throughput(self.store, workers or (worker(pay="ledger"),), ["celery"], self.clock.now_ms())

    def told(self, slices_ago: int, turn: int, **counts: int) -> None:
        at_ms = (self.clock.now_ms() // SLICE_MS - slices_ago) * SLICE_MS
        one = Slice(task="pay", backend="celery", at_ms=at_ms, ran={20: sum(counts.values())}, **counts)
        self.store.evidence.add([one], teller="a", turn=turn)

    def test_nothing_is_known_at_first(self) -> None:
        """For ten seconds it is gathered."""
        assert ("gathering", 1) == (self.look().state, self.look().tasks)
        self.clock.advance(9)
        assert "gathering" == self.look().state

    def test_then_it_is_estimated(self) -> None:
        """From what was told so far, of which five seconds are not."""
        self.look()
        self.told(0, 1, succeeded=45, failed=5)
        self.clock.advance(10)

        found = self.look()

        assert ("estimated", {"celery": 10.0}) == (found.state, found.by_backend)
        assert ("pay", "ledger", 1.0) == (found.rates[0].task, found.rates[0].queue, found.rates[0].failed_per_s)

    def test_then_it_is_measured(self) -> None:
        """Of the last ten seconds of which all have told; not before a task was watched for as long."""
        for _ in range(3):
            self.look()
            self.clock.advance(10)
        self.told(2, 1, succeeded=80)
        self.told(1, 2, succeeded=7)
        assert {"celery": 8.0} == self.look().by_backend
        self.clock.advance(TOLD_MS / 1000)

        found = self.look(worker(pay="ledger", new="ledger"))

        assert ("measured", {"celery": 0.7}, 2) == (found.state, found.by_backend, found.tasks)
        assert SLICE_MS == found.until_ms - found.since_ms

    def test_it_is_not_watched_when_nobody_looks(self) -> None:
        """And who looks again begins anew."""
        self.look()
        self.clock.advance(31)

        assert {} == self.store.evidence.watched()
        assert "gathering" == self.look().state

    def test_no_worker_no_tasks(self) -> None:
        """Nothing is watched."""
        assert 0 == throughput(self.store, (), ["celery"], self.clock.now_ms()).tasks
