"""A store that is out of memory takes no new work and drains: what ends work goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from taskbridge import Bridge, Settings
from taskbridge.errors import StoreFull
from taskbridge.message import Message
from taskbridge.needs import NeedsLock, Within
from taskbridge.relay.due import PublishDue
from taskbridge.relay.trickle import FEW
from taskbridge.store.evidence import SLICE_MS, Slice
from taskbridge.store.flow import Follower
from taskbridge.store.redis import RedisStore
from taskbridge.store.shadows import Told
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import a_run, after, enqueue, goes_on, open_run, start
from taskbridge.testing.laws.chunks import seen as run_seen
from taskbridge.testing.laws.rewinding import rewind
from taskbridge.testing.laws.schedules import declare, fire, tick_of
from taskbridge.testing.laws.schedules import seen as schedule_seen
from taskbridge.testing.laws.steps import begin, finish, look, publish, run, take
from tests.servers import RedisServer, age

NAMESPACE = "full"

pytestmark = pytest.mark.service("redis")


@pytest.fixture
def server(redis_binary: str) -> Iterator[RedisServer]:
    with RedisServer(redis_binary, maxmemory="6mb") as server:
        yield server


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    store = RedisStore(server.url(), NAMESPACE)
    yield store
    store.close()


def fill(store: RedisStore) -> list[Message]:
    """Put messages until the store takes no more."""
    kept: list[Message] = []
    try:
        while len(kept) < 10_000:
            message = a_message(route_key="x" * 2_000)
            store.outbox.put([message], 0)
            kept.append(message)
    except StoreFull:
        return kept
    raise AssertionError("expected the store to be full by now")


def published(store: RedisStore) -> list[Message]:
    """Publish all that is ready."""
    copies: list[Message] = []
    while more := publish(store):
        copies += more
    return copies


def test_full_store_refuses_new_work(store: RedisStore, server: RedisServer) -> None:
    """A put is refused whole: nothing of it is kept."""
    kept = fill(store)
    server.cli().config_set("maxmemory", "3mb")
    refused = [a_message() for _ in range(3)]

    with pytest.raises(StoreFull):
        store.outbox.put(refused, 60_000)

    assert [None] * 3 == [store.messages.look(message.id) for message in refused]
    assert {("mail", "READY"): len(kept)} == store.messages.counts()


def test_what_runs_in_a_full_store_goes_on(store: RedisStore, server: RedisServer) -> None:
    """Every verb but put goes on, scripts that the server has never seen among them."""
    ends = [a_message() for _ in range(9)]
    done, dead, retried, parked, lost, released, lapsed, kept, busy = ends
    for n, message in enumerate(ends):
        begin(store, message, f"c{n}")
    waiting, letter, purged = a_message(), a_message(), a_message()
    run(store, waiting, "w", "PARKED", due_ms=60_000, group="g")
    run(store, letter, "w", "DEAD", why="OSError")
    run(store, purged, "w", "DEAD", why="OSError")
    late = a_message()
    run(store, late, "w", "PARKED", due_ms=1, group="late")
    fill(store)
    server.cli().config_set("maxmemory", "3mb")
    server.cli().script_flush()

    assert ["ok", "ok"] == [finish(store, done, "c0"), finish(store, dead, "c1", "DEAD", why="OSError")]
    assert "ok" == finish(store, retried, "c2", "DELAYED", counted=True, due_ms=60_000)
    assert "ok" == finish(store, parked, "c3", "PARKED", due_ms=60_000, group="g")
    assert store.claims.lose(lost.id, "c4")
    assert store.claims.release(released.id, "c5")
    age(server.cli(), NAMESPACE, 20_000)
    store.claims.renew([(kept.id, "c7"), (busy.id, "c8")])
    assert [lapsed.id] == store.claims.sweep(10)
    assert ("run", "busy") == (begin(store, kept, "c7").verdict, begin(store, busy, "c9").verdict)
    assert "run" == begin(store, a_message(), "c10").verdict
    assert "expired" == begin(store, a_message(expires_at_ms=1), "c11").verdict
    assert 2 == store.parked.release("g", 10)
    assert [late.id] == store.parked.overdue(10)
    assert store.dead.replay(letter.id)
    assert store.dead.purge(purged.id)
    store.dead.bury("raw", "mail", b"\xff", "no JSON")
    assert store.leader.hold("relay", "me", 10_000)
    store.documents.put("worker", "me", b"1", 10_000)
    assert {"me": b"1"} == store.documents.all("worker")
    store.outbox.wait(1)
    store.outbox.mark([(copy.id, copy.seq) for copy in take(store)])

    assert ("DELAYED", 2) == (look(store, retried).state, look(store, retried).attempt)


def test_run_in_a_full_store_goes_on(store: RedisStore, server: RedisServer) -> None:
    """Its chunks end, retry and die, it is steered, and what it has enqueued ends; nothing new is kept."""
    ends_, fails, retried, steered, cancelled, rewound = [
        start(store, f"c{n}", max_backlog=0, pause_ms=n, needs={"locks": (NeedsLock(f"lock-{n}"),)}) for n in range(6)
    ]
    mail = a_message()
    enqueue(store, ends_, "c0", mail)
    (copy,) = publish(store)
    begin(store, copy, "m")
    finish(store, rewound, "c5", "DEAD", why="OSError")
    late = a_run()
    begin(store, late, "late")
    fill(store)
    server.cli().config_set("maxmemory", "3mb")
    server.cli().script_flush()

    assert ["ok", "mine"] == [goes_on(store, ends_, "c0") for _ in range(2)]
    assert "HELD" == look(store, after(ends_)).state
    assert "ok" == finish(store, copy, "m")
    assert "READY" == look(store, after(ends_)).state
    assert "ok" == finish(store, fails, "c1", "DEAD", why="OSError")
    assert store.dead.replay(fails.id)
    assert "ok" == finish(store, retried, "c2", "DELAYED", counted=True, due_ms=60_000)
    assert ["ok", "ok"] == [store.runs.steer(retried.id, how) for how in ("pause", "resume")]
    assert "ok" == store.runs.steer(steered.id, "pause")
    assert "ok" == goes_on(store, steered, "c3")
    assert "ok" == store.runs.steer(steered.id, "resume")
    assert "ok" == store.runs.steer(cancelled.id, "cancel")
    assert "ok" == goes_on(store, cancelled, "c4")
    assert "cancelled" == run_seen(store, cancelled).state
    assert "ok" == rewind(store, rewound)
    with pytest.raises(StoreFull):
        open_run(store, late, "late")
    again = next(copy for copy in published(store) if copy.id == fails.id)
    assert "run" == begin(store, again, "c9", locks=(NeedsLock("lock-1"),)).verdict
    with pytest.raises(StoreFull):
        enqueue(store, again, "c9", a_message())
    assert "ok" == goes_on(store, again, "c9")


def test_batch_in_a_full_store_comes_to_its_end(store: RedisStore, server: RedisServer) -> None:
    """Members end and are replayed, it is sealed, and its callbacks are made; a new one is refused."""
    then, error = (Follower(message=a_message(id=f"b:{which}")) for which in ("then", "error"))
    store.batches.open("b", when="all_succeeded", then=then, error=error)
    members = [a_message() for _ in range(2)]
    store.outbox.put(members, 0, Within(batches=("b",)))
    done, failing = publish(store)
    fill(store)
    server.cli().config_set("maxmemory", "3mb")
    server.cli().script_flush()

    with pytest.raises(StoreFull):
        store.batches.open("c", when="all_done", then=None, error=None)
    assert store.batches.seal("b")
    run(store, done)
    run(store, failing, "c1", "DEAD")
    assert store.dead.replay(failing.id)
    run(store, failing.copy(seq=2), "c2")

    found = store.batches.look("b")
    assert found is not None
    assert (2, 0, 2, 0) == (found.total, found.open, found.done, found.failed)
    assert ["READY", "READY"] == [look(store, one.message).state for one in (then, error)]
    assert store.batches.look("c") is None


def test_full_store_drains(store: RedisStore) -> None:
    """Published, begun and finished, all of it ends; then there is room for new work."""
    kept = fill(store)

    ran = 0
    while copies := publish(store):
        for copy in copies:
            assert "ok" == run(store, copy)
        ran += len(copies)

    assert len(kept) == ran
    assert {} == store.messages.counts()
    assert [True] == store.outbox.put([a_message()], 0)


def test_tick_waits_for_room_in_a_full_store(store: RedisStore, server: RedisServer) -> None:
    """It is refused whole and stays due; it can be put off, paused and forgotten meanwhile; then it is fired."""
    for name in ("nightly", "paused", "gone"):
        declare(store, name)
    (due,) = [state for state in store.schedules.due(10) if state.name == "nightly"]
    fill(store)
    server.cli().config_set("maxmemory", "3mb")
    server.cli().script_flush()
    message = a_message()

    with pytest.raises(StoreFull):
        store.schedules.fire(tick_of(due, message))
    store.schedules.put_off("nightly", 5_000)
    changed = store.schedules.change(
        "paused", schedule_seen(store, "paused").version, changes=b"", paused=True, tick_ms=1
    )

    assert changed
    assert store.messages.look(message.id) is None
    assert ["gone"] == [state.name for state in store.schedules.due(10)]
    age(server.cli(), NAMESPACE, 70_000)
    assert ["gone", "nightly", "paused"] == sorted(store.schedules.forget(1_000))
    server.cli().config_set("maxmemory", "0")
    declare(store, "nightly")
    assert "fired" == fire(store, message)


def test_routes_of_a_full_store_can_be_taken_back(store: RedisStore, server: RedisServer) -> None:
    """An operator changes them, many times: what leads away from an engine must not wait for room."""
    fill(store)
    server.cli().config_set("maxmemory", "3mb")
    server.cli().script_flush()

    written = [store.routes.write(n, b"x" * 1_000, who="me", note="back") for n in range(3)]

    assert [1, 2, 3] == written
    assert [3, 2, 1] == [version.version for version in store.routes.history(10)]


def test_evidence_is_refused_by_a_full_store(store: RedisStore, server: RedisServer) -> None:
    """Whole, and told again under the same turn once there is room; who is watched can be changed all the while."""
    fill(store)
    room = server.cli().config_get("maxmemory")["maxmemory"]
    server.cli().config_set("maxmemory", "3mb")
    server.cli().script_flush()
    now_ms = store.now_ms()
    told = [
        Slice(task=task, backend="celery", at_ms=now_ms // SLICE_MS * SLICE_MS, succeeded=1)
        for task in ("book", "send")
    ]

    store.evidence.watch(dict.fromkeys(("book", "send"), now_ms + 60_000))
    with pytest.raises(StoreFull):
        store.evidence.add(told, teller="me", turn=1)
    assert {"book", "send"} == set(store.evidence.watched())
    assert [] == store.evidence.read("book", ["celery"], 0, now_ms + 1)
    server.cli().config_set("maxmemory", int(room) * 2)
    store.evidence.add(told, teller="me", turn=1)

    assert told == [one for task in ("book", "send") for one in store.evidence.read(task, ["celery"], 0, now_ms + 1)]


def test_full_store_compares_nothing(store: RedisStore, server: RedisServer) -> None:
    """A copy does not begin, and no side is told: work that counts needs the room."""
    fill(store)
    server.cli().config_set("maxmemory", "3mb")

    with pytest.raises(StoreFull):
        store.shadows.begin("s1", "t", "m1")
    with pytest.raises(StoreFull):
        store.shadows.tell("s1", "t", "m1", "original", Told(outcome="succeeded", backend="celery"))

    server.cli().config_set("maxmemory", 0)
    assert store.shadows.begin("s1", "t", "m1")


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_full_broker_serves_the_queues_that_are_read(server: RedisServer, engine: str) -> None:
    """What is due for one that nobody reads waits, though it was due before; the others' workers free the memory."""
    with closing(Bridge(Settings(backend=engine, broker_url=server.url(), namespace=NAMESPACE))) as bridge:
        store, backend = bridge.store, bridge.backend(engine)
        backend.publish([a_message(queue="old") for _ in range(FEW)])
        store.outbox.put([a_message(queue="old")], 0)
        store.outbox.put([a_message() for _ in range(FEW)], 0)
        server.cli().config_set("maxmemory", "1mb")

        assert FEW == PublishDue(bridge.sender)()

        assert [FEW, FEW] == [backend.depth("old"), backend.depth("mail")]
