"""What is true of the store on Redis alone: its keys, the broker's copy, a server that forgets or is away."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis

from taskbridge.errors import StoreFull, StoreUnavailable
from taskbridge.message import Message, encode
from taskbridge.needs import NeedsLock, NeedsTokens, Within
from taskbridge.redis.script import compact, source
from taskbridge.store import LEASE_MS, Adopted, Begin, Copy, Finish, Held
from taskbridge.store.evidence import KEPT_MS, SLICE_MS, Slice
from taskbridge.store.memory import MemoryStore
from taskbridge.store.redis import RedisStore
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import DAY_MS, a_run, after, ends, enqueue, goes_on, start
from taskbridge.testing.laws.rewinding import rewind
from taskbridge.testing.laws.steps import begin, finish, publish, run, state, take
from tests.servers import RedisServer, age, until

NAMESPACE = "laws"
TAG = f"{{{NAMESPACE}}}"


@pytest.mark.service("redis")
class TestRedisAlone:
    """What has no meaning in memory: keys, the broker's copy, a server that forgets or is away."""

    @pytest.fixture
    def client(self, redis_server: RedisServer) -> redis.Redis:
        client = redis_server.cli()
        client.flushall()
        return client

    @pytest.fixture
    def store(self, client: redis.Redis, redis_server: RedisServer) -> Iterator[RedisStore]:
        store = RedisStore(redis_server.url(), NAMESPACE)
        yield store
        store.close()

    def test_all_keys_lie_in_one_slot(self, store: RedisStore, client: redis.Redis) -> None:
        """Every key has the namespace as its hash tag."""
        live(store)
        begin(store, a_message())
        store.outbox.put([a_message()], 60_000)
        run(store, a_message(), "c1", "PARKED", due_ms=60_000, group="g")
        store.leader.hold("relay", "me", 60_000)
        store.documents.put("worker", "me", b"1", 60_000)
        gather(store)

        keys = [key.decode() for key in client.scan_iter()]

        assert len(keys) > 15
        assert [] == [key for key in keys if not key.startswith(f"{TAG}:")]

    def test_what_ends_while_it_is_looked_at_does_not_run(self, store: RedisStore, client: redis.Redis) -> None:
        """Leases are read first and records after: one that has ended in between is none of the running."""
        ends, runs = a_message(), a_message()
        run(store, ends, "c1", "DONE")
        begin(store, runs, "c2")
        client.zadd(f"{TAG}:leases", {f"c1 {ends.id}": 1e15})

        assert [runs.id] == [record.id for record in store.messages.running()]

    def test_fields_of_a_record_are_deliberate(self, store: RedisStore, client: redis.Redis) -> None:
        """What a record's hash holds is part of the schema: another release reads it."""
        message = a_message()
        store.outbox.put([message], 0)
        publish(store)
        run(store, message, "c1", "DEAD", why="OSError", traceback="Traceback ...")
        done = a_message()
        run(store, done)
        store.dead.bury("raw", "mail", b"x", "no JSON")

        identity = {"st", "seq", "attempt", "last"}
        run_of = {"starts", "crashes", "limit", "claim", "fence", "pubs", "queue", "body", "begun", "why", "tb"}
        assert identity | run_of | {"to", "sent", "trail"} == fields(client, f"{TAG}:m:{message.id}")
        assert {"st", "last", "was", "of"} == fields(client, f"{TAG}:m:{done.id}")
        raw = {"st", "seq", "claim", "why", "tb", "crashes", "queue", "body", "raw", "trail"}
        assert raw == fields(client, f"{TAG}:m:raw")

    def test_fields_of_one_that_waits_are_deliberate(self, store: RedisStore, client: redis.Redis) -> None:
        """So is what it keeps while it waits, when it is let on, and once it runs."""
        holder, waiter = a_message(), a_message()
        begin(store, holder, "c1", locks=(NeedsLock("a"),))
        begin(store, waiter, "c2", locks=(NeedsLock("a"),))
        key = f"{TAG}:m:{waiter.id}"
        waits = {"st", "seq", "attempt", "crashes", "limit", "claim", "group", "queue", "body", "locks", "rates"}
        waits |= {"trail"}

        assert waits | {"turn", "since"} == fields(client, key)

        finish(store, holder, "c1")
        assert waits | {"turn", "since", "front", "parked"} == fields(client, key)
        (copy,) = publish(store)
        begin(store, copy, "c3", locks=(NeedsLock("a"),))
        assert waits | {"starts", "fence", "begun", "pubs", "parked", "to", "sent"} == fields(client, key)

    def test_what_a_slice_holds_is_deliberate(self, store: RedisStore, client: redis.Redis) -> None:
        """Its counts and no more; it ends an hour after it began, and so does what is known of who told it.

        Of what lies too far ahead, or back, nothing is kept.
        """
        gather(store)
        now_ms = store.now_ms() // SLICE_MS * SLICE_MS
        beyond = [
            Slice(task="tests.send", backend="celery", at_ms=at_ms, failed=1)
            for at_ms in (now_ms + 3 * SLICE_MS, now_ms - KEPT_MS - SLICE_MS)
        ]
        store.evidence.add(beyond, teller="other", turn=1)

        (key,) = client.keys(f"{TAG}:evidence:*")
        instant, backend, task = key.decode().removeprefix(f"{TAG}:evidence:").split(" ")
        assert (0, "celery", "tests.send") == (int(instant) % SLICE_MS, backend, task)
        assert {b"s": b"7", b"f": b"3", b"r40": b"10", b"w0": b"9", b"w152": b"1"} == client.hgetall(key)
        assert 0 < client.pttl(key) <= KEPT_MS
        assert b"1" == client.get(f"{TAG}:told:me")
        assert 0 < client.pttl(f"{TAG}:told:me") <= KEPT_MS

    def test_what_has_ended_leaves_markers_only(self, store: RedisStore, client: redis.Redis) -> None:
        """When all is done no index and no count is left, and every record has an end."""
        markers = {f"{TAG}:m:{message.id}" for message in live(store)}

        left = {key.decode() for key in client.scan_iter()}

        assert {f"{TAG}:{name}" for name in ("fence", "pulse", "bell")} == left - markers
        assert all(client.pttl(marker) > 0 for marker in markers)

    def test_fields_of_a_run_are_deliberate(self, store: RedisStore, client: redis.Redis) -> None:
        """What a run's hash holds is part of the schema, too."""
        first = start(store, unique="until_done", needs={"locks": (NeedsLock("a"),)})
        store.runs.steer(first.id, "pause")
        goes_on(store, first, "c0")

        run_of, held = f"{TAG}:flow:run:{first.id}", f"{TAG}:m:{after(first).id}"

        said = {"task", "queue", "bounds", "expected", "max", "pause", "started"}
        moves = {"at", "chunk", "current", "total", "open", "progress", "planned", "state", "round", "paused"}
        assert said | moves == fields(client, run_of)
        identity = {"st", "seq", "attempt", "queue", "body", "part", "fresh", "due"}
        assert identity | {"locks", "rates", "same"} == fields(client, held)

    @pytest.mark.parametrize("how", ["done", "cancelled", "failed and purged", "rewound"])
    def test_nothing_is_left_of_a_run(self, store: RedisStore, client: redis.Redis, how: str) -> None:
        """When it is forgotten no key of it stands, no index has it, and no count is off."""
        needs: dict[str, Any] = {"locks": (NeedsLock("a"),), "rates": (NeedsTokens("slow", "slow", 1_000, 9),)}
        first = start(store, unique="until_done", max_backlog=9, needs=needs)
        enqueue(store, first, "c0", *(a_message() for _ in range(3)))
        goes_on(store, first, "c0")
        *mails, chunk = sorted(publish(store), key=lambda copy: copy.queue)
        if how == "cancelled":
            store.runs.steer(first.id, "cancel")
        else:
            begin(store, chunk, "c1", **needs)
            enqueue(store, chunk, "c1", a_message())
            finish(store, chunk, "c1", "DONE" if how == "done" else "DEAD", why="" if how == "done" else "no")
        if how == "failed and purged":
            store.dead.purge(chunk.id)
        elif how == "rewound":
            assert "ok" == rewind(store, first)
            store.runs.steer(first.id, "cancel")
        for copy in (*mails, *publish(store)):
            run(store, copy, f"m-{copy.id}")

        age(client, NAMESPACE, 15 * DAY_MS)
        ends(store, start(store, "o", message=a_run(id="other")), "o")
        publish(store)
        age(client, NAMESPACE, 15 * DAY_MS)

        left = {key.decode().removeprefix(f"{TAG}:") for key in client.scan_iter()}
        assert {"fence", "bell", "flow:runs"} == left
        assert [b"other"] == client.zrange(f"{TAG}:flow:runs", 0, -1)

    def test_count_without_a_run_makes_none(self, store: RedisStore, client: redis.Redis) -> None:
        """What counts for a run that was forgotten leaves no hash that nobody would end."""
        store.outbox.put([a_message()], 0, Within(runs=("forgotten",)))

        assert [] == list(client.scan_iter(f"{TAG}:flow:*"))

    def test_bell_rings_once(self, store: RedisStore, client: redis.Redis) -> None:
        """However much becomes ready, one token wakes the relay."""
        store.outbox.put([a_message() for _ in range(10)], 0)
        store.outbox.put([a_message()], 0)

        assert 1 == client.llen(f"{TAG}:bell")

    def test_namespaces_do_not_meet(self, store: RedisStore, redis_server: RedisServer) -> None:
        """Two namespaces on one server know nothing of each other."""
        message = a_message()
        begin(store, message)
        other = RedisStore(redis_server.url(), "other")

        assert other.messages.look(message.id) is None
        assert "run" == begin(other, message, "c2").verdict

        other.close()

    def test_scripts_may_be_forgotten(self, store: RedisStore, client: redis.Redis) -> None:
        """A server that was flushed of its scripts is taught again, in the middle of a trip too."""
        first, second = a_message(), a_message()
        begin(store, first)
        client.script_flush()

        answers = store.claims.finish_and_begin(
            Finish(id=first.id, claim="c1", state="DONE"),
            Begin(message=second, body=encode(second), claim="c2", max_crashes=3),
        )

        assert ("ok", "run") == (answers[0], answers[1].verdict)

    def test_half_of_a_trip_may_be_forgotten(self, store: RedisStore, client: redis.Redis) -> None:
        """If the server knows only the first script of a trip, that is sent twice and does no harm."""
        first, second = a_message(), a_message()
        begin(store, first)
        client.script_flush()
        client.script_load(compact(source("taskbridge.store.redis", "finish")))

        answers = store.claims.finish_and_begin(
            Finish(id=first.id, claim="c1", state="DONE"),
            Begin(message=second, body=encode(second), claim="c2", max_crashes=3),
        )

        assert ("mine", "run") == (answers[0], answers[1].verdict)

    def test_time_passes_by_itself(self, store: RedisStore) -> None:
        """Delays, leads and announcements end by the server's own clock."""
        message = a_message()
        start_ms = store.now_ms()
        store.outbox.put([message], 100)
        store.leader.hold("relay", "me", 100)
        store.documents.put("worker", "me", b"1", 100)

        assert [message] == until(lambda: take(store), 5, "the delay is over")
        until(lambda: store.leader.hold("relay", "you", 1_000), 5, "the lead is over")
        until(lambda: not store.documents.all("worker"), 5, "the announcement has lapsed")

        assert store.now_ms() - start_ms >= 100

    def test_lapsed_announcements_are_cleared_away(self, store: RedisStore, client: redis.Redis) -> None:
        """Whoever announces clears away what has lapsed, so that dead workers leave nothing."""
        store.documents.put("worker", "gone", b"1", 10_000)
        age(client, NAMESPACE, 10_001)
        store.documents.put("worker", "me", b"1", 10_000)

        assert {b"me": b"1"} == client.hgetall(f"{TAG}:doc:worker")

    def test_copy_that_is_taken_over_is_forgotten_in_the_same_step(
        self, store: RedisStore, client: redis.Redis
    ) -> None:
        """One that is not on its shelf any more is somebody else's, and is left alone."""
        mine, gone = a_message(), a_message()
        client.hset("shelf", mapping={"7": "copy", "8": "another"})

        found = store.outbox.adopt([Copy(message=mine, tag="7"), Copy(message=gone, tag="9")], "shelf")

        assert [Adopted("READY", 2), Adopted("GONE")] == found
        assert {"8"} == fields(client, "shelf")
        assert None is store.messages.look(gone.id)

    def test_full_store_takes_over_what_lies_on_its_own_server(self, store: RedisStore, client: redis.Redis) -> None:
        """It brings nothing in: the copy goes when the record comes."""
        message = a_message()
        client.hset("shelf", "7", "copy")
        client.config_set("maxmemory", 1)
        try:
            found = store.outbox.adopt([Copy(message=message, tag="7")], "shelf")
            with pytest.raises(StoreFull):
                store.outbox.adopt([Copy(message=a_message())])
        finally:
            client.config_set("maxmemory", 0)

        assert [Adopted("READY", 2)] == found


@pytest.mark.service("redis")
class TestHeldCopy:
    """The broker's copy is acknowledged in the same step, exactly when the protocol says so."""

    held = Held(f"{TAG}:held:me", "7")

    @pytest.fixture
    def store(self, redis_server: RedisServer) -> Iterator[RedisStore]:
        self.client = redis_server.cli()
        self.client.flushall()
        self.client.hset(self.held.key, mapping={"7": "copy", "8": "another"})
        store = RedisStore(redis_server.url(), NAMESPACE)
        yield store
        store.close()

    def begin(self, store: RedisStore, message: Message, claim: str, **more: int) -> str:
        """Begin, and tell whether the copy is held still."""
        request = Begin(message=message, body=encode(message), claim=claim, max_crashes=3, held=self.held)
        verdict = store.claims.begin(request).verdict
        return verdict + (" kept" if self.client.hexists(self.held.key, "7") else " acknowledged")

    def finish(self, store: RedisStore, message: Message, claim: str, end: str = "DONE") -> str:
        answer = store.claims.finish(Finish(id=message.id, claim=claim, state=end, held=self.held))
        return answer + (" kept" if self.client.hexists(self.held.key, "7") else " acknowledged")

    def test_copy_of_what_runs_is_kept(self, store: RedisStore) -> None:
        """While a message runs its copy is held, after a repeated begin too; its end acknowledges it."""
        message = a_message()

        assert "run kept" == self.begin(store, message, "c1")
        assert "run kept" == self.begin(store, message, "c1")
        assert "ok acknowledged" == self.finish(store, message, "c1")

        assert [b"8"] == self.client.hkeys(self.held.key)

    @pytest.mark.parametrize("verdict", ["settled", "stale", "busy", "expired", "crashed"])
    def test_copy_of_what_does_not_run_is_acknowledged(self, store: RedisStore, verdict: str) -> None:
        """Whatever begin answers but run, the copy is waste paper."""
        message = a_message(expires_at_ms=1 if verdict == "expired" else 0)
        if verdict == "settled":
            run(store, message)
        elif verdict == "stale":
            run(store, message, "c1", "READY")
        elif verdict == "busy":
            begin(store, message)
        elif verdict == "crashed":
            for seq in range(1, 6):
                begin(store, message.copy(seq=seq), max_crashes=9)
                store.claims.lose(message.id, "c1")
            message = message.copy(seq=6)

        assert f"{verdict} acknowledged" == self.begin(store, message, "c2")

    @pytest.mark.parametrize("end", ["DONE", "DEAD", "DELAYED", "READY", "PARKED"])
    def test_every_end_acknowledges(self, store: RedisStore, end: str) -> None:
        """Whatever becomes of the message, the store has it: the copy goes, and when told twice too."""
        message = a_message()
        begin(store, message)

        assert "ok acknowledged" == self.finish(store, message, "c1", end)
        self.client.hset(self.held.key, "7", "copy")
        assert "mine acknowledged" == self.finish(store, message, "c1", end)
        self.client.hset(self.held.key, "7", "copy")
        assert "refused acknowledged" == self.finish(store, message, "c0", end)

    def test_copy_of_the_unknown_is_kept(self, store: RedisStore) -> None:
        """Where the store has lost the record, the engine's copy may be the last: it stays."""
        assert "unknown kept" == self.finish(store, a_message(), "c1")

    def test_burying_acknowledges(self, store: RedisStore) -> None:
        """Bytes that are no message leave the broker as they reach the dead letters."""
        store.dead.bury("raw", "mail", b"\xff", "no JSON", self.held)

        assert [b"8"] == self.client.hkeys(self.held.key)


@pytest.mark.service("redis")
def test_restart_keeps_everything() -> None:
    """A server that is killed and comes back with its data has every message; while it is away that is said."""
    running, delayed, dead = a_message(), a_message(), a_message()
    with RedisServer(appendonly=True, appendfsync="always") as server:
        store = RedisStore(server.url(), NAMESPACE)
        begin(store, running)
        store.outbox.put([delayed], 60_000)
        run(store, dead, "c2", "DEAD", why="OSError")
        server.stop(signal.SIGKILL)

        with pytest.raises(StoreUnavailable):
            finish(store, running)
        server.start()

        assert "ok" == finish(store, running)
        assert [("DELAYED", 1), ("DEAD", 1)] == [state(store, delayed), state(store, dead)]
        assert {("mail", "DELAYED"): 1, ("mail", "DEAD"): 1} == store.messages.counts()
        store.close()


@pytest.mark.service("redis")
def test_no_claim_is_taken_because_the_store_was_away() -> None:
    """After an absence longer than a lease, every claim has one more lease to be renewed."""
    message = a_message()
    with RedisServer(appendonly=True, appendfsync="always") as server:
        store = RedisStore(server.url(), NAMESPACE)
        begin(store, message)
        store.claims.sweep(10)
        age(server.cli(), NAMESPACE, 2 * LEASE_MS)
        server.stop(signal.SIGKILL)
        server.start()

        until(lambda: swept(store) == [], 20, "the store answers")
        assert 0 < server.cli().pttl(f"{TAG}:quiet") <= LEASE_MS

        assert [] == store.claims.sweep(10)
        assert "ok" == finish(store, message)
        store.close()


def test_memory_holds_no_copies() -> None:
    """There is no broker in memory: where a copy lies is ignored."""
    store, message, held = MemoryStore(), a_message(), Held("anywhere", "7")
    begun = Begin(message=message, body=encode(message), claim="c1", max_crashes=3, held=held)

    assert "run" == store.claims.begin(begun).verdict
    assert "ok" == store.claims.finish(Finish(id=message.id, claim="c1", state="DONE", held=held))


def gather(store: RedisStore) -> None:
    """Tell of ten attempts."""
    now_ms = store.now_ms()
    store.evidence.watch({"tests.send": now_ms + 60_000})
    told = Slice(
        task="tests.send",
        backend="celery",
        at_ms=now_ms // SLICE_MS * SLICE_MS,
        succeeded=7,
        failed=3,
        ran={40: 10},
        waited={0: 9, 152: 1, 3: 0},
    )
    store.evidence.add([told], teller="me", turn=1)


def fields(client: redis.Redis, key: str) -> set[str]:
    """The names in a hash."""
    return {name.decode() for name in cast("list[bytes]", client.hkeys(key))}


def live(store: RedisStore) -> list[Message]:
    """Let messages go through every state, each to its end."""
    one, two, three, four = messages = [a_message() for _ in range(4)]
    store.outbox.put([one, two], 0)
    store.outbox.put([three], 60_000)
    publish(store)
    store.claims.sweep(10)
    run(store, one, "c1", "PARKED", due_ms=60_000, group="g")
    begin(store, two, "c2")
    store.claims.lose(two.id, "c2")
    run(store, four, "c4", "DEAD", why="OSError")
    store.parked.release("g", 10)
    store.dead.purge(four.id)
    for copy in (*publish(store), three):
        run(store, copy, "c5")
    return messages


def swept(store: RedisStore) -> list[str] | None:
    """Sweep, if the store answers."""
    try:
        return store.claims.sweep(10)
    except StoreUnavailable:
        return None
