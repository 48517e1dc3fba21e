"""The route table on Redis: read in the middle of a producer's work, so never waited for long."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from taskbridge import Bridge, Settings
from taskbridge.errors import StoreUnavailable, StoreUnfit
from taskbridge.routing import Rule, Table
from taskbridge.routing.router import TTL_S
from taskbridge.routing.table import encode
from taskbridge.store.redis import RedisStore
from taskbridge.store.redis.versions import PATIENCE_S
from tests.servers import RedisServer, free_port, until

pytestmark = pytest.mark.service("redis")

#: What a busy machine may add to a wait, seconds.
GRACE_S = 2.0

#: A thread that is not woken for so much longer than it asked to sleep was halted with its process, seconds.
HALT_S = 0.1


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    store = RedisStore(server.url(), "routes")
    yield store
    store.close()


def timed(call: Callable[[], object]) -> float:
    """How long it takes, but for how long the machine halted this process meanwhile: a thread beside it tells."""
    halted_s, over = 0.0, threading.Event()

    def watch() -> None:
        nonlocal halted_s
        seen_s, last = time.monotonic(), False
        while not last:
            last = over.wait(0.01)
            now_s = time.monotonic()
            halted_s += now_s - seen_s if now_s - seen_s > HALT_S else 0.0
            seen_s = now_s

    watching = threading.Thread(target=watch)
    began_s = time.monotonic()
    watching.start()
    try:
        call()
    finally:
        over.set()
        watching.join()
    return time.monotonic() - began_s - halted_s


def documents(store: RedisStore) -> set[bytes]:
    """What many reads find."""
    return {found.document for _ in range(200) if (found := store.routes.read())}


def refused(store: RedisStore) -> None:
    with pytest.raises(StoreUnavailable):
        store.routes.read()


@pytest.mark.parametrize("read_before", [False, True])
def test_read_does_not_wait_for_a_store_that_hangs(store: RedisStore, server: RedisServer, read_before: bool):
    """Neither over a connection that stands nor over a new one; when the store goes on, so do reads."""
    store.routes.write(0, b"one", who="me", note="")
    if read_before:
        store.routes.read()

    server.pause()
    took_s = timed(partial(refused, store))
    server.resume()

    assert PATIENCE_S / 2 < took_s < PATIENCE_S + GRACE_S
    found = until(partial(store.routes.read, 0), 5, "the store answers")
    assert (1, b"one") == (found.version, found.document)


def test_read_says_that_the_store_is_away():
    """At once where nobody listens; without its password."""
    store = RedisStore(f"redis://:hush@127.0.0.1:{free_port()}/0", "routes")

    with pytest.raises(StoreUnavailable, match=r"redis://:\*\*\*@127\.0\.0\.1:\d+/0 is away"):
        store.routes.read()


@pytest.mark.parametrize("words", [["x"], ["1", "2", "3", "4"], ["x", "1", "", "", ""], ["1", "1", b"\xff", "", ""]])
def test_what_somebody_else_has_written_is_no_table(store: RedisStore, server: RedisServer, words: list[str | bytes]):
    """It is told as unfit, which a producer takes for a store that is away."""
    server.cli().rpush(store.keys.routes, *words)

    with pytest.raises(StoreUnfit, match=r"has something else than routes in \{routes\}:routes"):
        store.routes.read()


def test_threads_share_the_connection(store: RedisStore, server: RedisServer):
    """Those that read one after the other need no connection each."""
    before = len(server.cli().client_list())

    for _ in range(20):
        thread = threading.Thread(target=store.routes.read)
        thread.start()
        thread.join()

    assert before + 1 == len(server.cli().client_list())


def test_threads_may_read_at_once(store: RedisStore):
    """Each has its answer."""
    store.routes.write(0, b"one", who="me", note="")

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: store.routes.read(), range(200)))

    assert {b"one"} == {one.document for one in found if one}
    assert all(found)


def test_fork_reads_by_itself(store: RedisStore):
    """Child and parent do not read each other's answers, whichever asks first."""
    store.routes.write(0, b"one", who="me", note="")
    store.routes.read()

    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            os._exit(0 if {b"one"} == documents(store) else 1)
        children.append(child)

    assert {b"one"} == documents(store)
    assert [0] * 4 == [os.waitpid(child, 0)[1] for child in children]


@pytest.fixture
def producer(server: RedisServer, redis_server: RedisServer) -> Iterator[Bridge]:
    """Its broker is another server than its store."""
    redis_server.cli().flushall()
    made = Bridge(Settings(backend="celery", broker_url=redis_server.url(), store_url=server.url(), namespace="routes"))
    yield made
    made.close()


def test_producer_goes_on_by_the_last_table_while_the_store_hangs(
    producer: Bridge, server: RedisServer, store: RedisStore
):
    """Some seconds of it cost few waits, each of them short; what changed meanwhile holds when the store goes on."""
    pay = producer.task(name="bank.pay", queue="ledger")(lambda user_id: None)
    to = {name: Table(rules=(Rule(id="r1", to=name, task="bank.*"),)) for name in ("celery", "dramatiq")}
    store.routes.write(0, encode(to["dramatiq"]), who="me", note="")
    pay.enqueue(1)
    assert 1 == producer.backend("dramatiq").depth("ledger")

    server.pause()
    took_s, until_s = [], time.monotonic() + 4
    while time.monotonic() < until_s:
        took_s.append(timed(partial(pay.enqueue, 1)))
        time.sleep(0.005)
    server.resume()

    waits = [one for one in took_s if one > PATIENCE_S * 0.9]  # what took less was no wait for an answer
    assert 1 <= len(waits) <= 4, waits
    assert max(waits) < PATIENCE_S + GRACE_S
    assert (0, 1 + len(took_s)) == tuple(producer.backend(name).depth("ledger") for name in ("celery", "dramatiq"))
    store.routes.write(1, encode(to["celery"]), who="me", note="")

    def follows() -> bool:
        pay.enqueue(1)
        return producer.backend("celery").depth("ledger") > 0

    until(follows, 10, "the producer sees the new table")


def test_producer_that_never_saw_a_table_goes_by_its_settings(producer: Bridge, server: RedisServer):
    """Its store hangs from the beginning: the clock is not compared either, and messages go out."""
    pay = producer.task(name="bank.pay", queue="ledger")(lambda user_id: None)
    server.pause()

    pay.enqueue(1)
    took_s = [timed(partial(pay.enqueue, 1)) for _ in range(20)]

    assert 21 == producer.backend("celery").depth("ledger")
    assert sum(took_s) < PATIENCE_S + GRACE_S


def test_change_is_seen_within_a_second(producer: Bridge, store: RedisStore):
    """By whoever sends a second after it was written, however often it changes."""
    pay = producer.task(name="bank.pay", queue="ledger")(lambda user_id: None)
    depths = {"celery": 0, "dramatiq": 0}

    for version, name in enumerate(["dramatiq", "celery", "dramatiq"]):
        table = Table(rules=(Rule(id="r1", to=name, task="bank.*"),))
        store.routes.write(version, encode(table), who="me", note="")
        over_s = time.monotonic() + TTL_S
        while time.monotonic() < over_s:
            pay.enqueue(1)
            time.sleep(0.002)
        before = {name: producer.backend(name).depth("ledger") for name in depths}
        for _ in range(50):
            pay.enqueue(1)
        after = {name: producer.backend(name).depth("ledger") for name in depths}

        assert before | {name: before[name] + 50} == after
