"""A store that is out of memory takes no new work and drains: what ends work goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskbridge.errors import StoreFull
from taskbridge.message import Message
from taskbridge.needs import NeedsLock
from taskbridge.store.redis import RedisStore
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import a_run, after, enqueue, goes_on, open_run, seen, start
from taskbridge.testing.laws.rewinding import rewind
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
    assert "cancelled" == seen(store, cancelled).state
    assert "ok" == rewind(store, rewound)
    with pytest.raises(StoreFull):
        open_run(store, late, "late")
    again = next(copy for copy in published(store) if copy.id == fails.id)
    assert "run" == begin(store, again, "c9", locks=(NeedsLock("lock-1"),)).verdict
    with pytest.raises(StoreFull):
        enqueue(store, again, "c9", a_message())
    assert "ok" == goes_on(store, again, "c9")


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
