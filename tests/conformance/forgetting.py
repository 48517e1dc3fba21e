"""A store that waits for its replica, and all that lets somebody forget a message of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from taskbridge.errors import StoreUnconfirmed
from taskbridge.message import Message, encode
from taskbridge.needs import NeedsLock, Same
from taskbridge.store import Begin, Copy, Finish, Held
from taskbridge.store.redis import RedisStore
from taskbridge.store_wait import StoreWait
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import a_run, open_run
from taskbridge.testing.laws.steps import begin, finish
from tests.servers import (
    RedisServer,
    acknowledged,
    replica_of,
    until,
)

T = TypeVar("T")

NAMESPACE = "waits"

#: What a store with the least rights may do, and with this setting.
LEAST = f"~{{{NAMESPACE}}}:* +@read +@write +@scripting +@connection +info +time"

REPLICA = StoreWait(kind="replica", timeout_ms=100)
AOF = StoreWait(kind="aof", timeout_ms=3_000)

LOCK = (NeedsLock("door", "wait", 1),)

Call = Callable[[RedisStore], object]


class Pair:
    """A primary with a replica, and a store that waits for it."""

    def __init__(self, primary: RedisServer, replica: RedisServer) -> None:
        self.primary, self.replica = primary, replica
        self.store = self.new_store()

    def new_store(self) -> RedisStore:
        """A store on connections of its own."""
        return RedisStore(self.primary.url(), NAMESPACE, REPLICA)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While the replica hangs."""
        self.replica.pause()
        try:
            yield
        finally:
            self.replica.resume()
            until(lambda: acknowledged(self.primary), 20, "the replica follows")


@contextmanager
def paired(binary: str | None = None, **options: Any) -> Iterator[Pair]:
    """Start a pair; the options are the primary's."""
    with ExitStack() as stack:
        primary = stack.enter_context(RedisServer(binary, appendonly=True, **options))
        replica = stack.enter_context(replica_of(primary, binary))
        until(lambda: acknowledged(primary), 20, "the replica follows")
        pair = Pair(primary, replica)
        stack.enter_context(closing(pair.store))
        yield pair


def confirmed(call: Callable[[], T]) -> T:
    """Call until it is confirmed, as a worker does."""
    while True:
        with suppress(StoreUnconfirmed):
            return call()


def running(store: RedisStore, claim: str = "c1", **needs: Any) -> Message:
    message = a_message()
    assert "run" == begin(store, message, claim, **needs).verdict
    return message


def ends(state: str, **more: Any) -> Callable[[RedisStore], Call]:
    def prepare(store: RedisStore) -> Call:
        message = running(store)
        return lambda store: finish(store, message, state=state, **more)

    return prepare


def ends_cancelled(store: RedisStore) -> Call:
    message = running(store)
    store.control.cancel(message.id, "enough")
    return lambda store: finish(store, message, state="READY")


def settled(store: RedisStore) -> Call:
    message = running(store)
    confirmed(partial(finish, store, message))
    return lambda store: begin(store, message, "c2").verdict


def busy(store: RedisStore) -> Call:
    message = running(store)
    return lambda store: begin(store, message, "c2").verdict


def stale(store: RedisStore) -> Call:
    message = running(store)
    confirmed(partial(finish, store, message, state="DELAYED", due_ms=60_000))
    return lambda store: begin(store, message, "c2").verdict


def expired(store: RedisStore) -> Call:
    message = a_message(expires_at_ms=1)
    return lambda store: begin(store, message, "c2").verdict


def locked(store: RedisStore) -> Call:
    running(store, locks=LOCK)
    message = a_message()
    return lambda store: begin(store, message, "c2", locks=LOCK).verdict


def paused(store: RedisStore) -> Call:
    message = a_message()
    store.control.pause("queue", message.queue, who="me", why="")
    return lambda store: begin(store, message, "c2").verdict


def told_with_the_next(store: RedisStore) -> Call:
    message, following = running(store), a_message()
    ending = Finish(id=message.id, claim="c1", state="DONE")
    asking = Begin(message=following, body=encode(following), claim="c2", max_crashes=3)

    def call(store: RedisStore) -> object:
        answer, begun = store.claims.finish_and_begin(ending, asking)
        return answer, begun.verdict

    return call


def told_here_and_waiting_elsewhere(store: RedisStore) -> Call:
    """What has ended is acknowledged in the script; what comes next is another broker's."""
    message, following = running(store, locks=LOCK), a_message()
    running(store, "c3", locks=(NeedsLock("gate", "wait", 1),))
    ending = Finish(id=message.id, claim="c1", state="DONE", held=Held(f"{{{NAMESPACE}}}:held:me", "1"))
    needs = (NeedsLock("gate", "wait", 1),)
    asking = Begin(message=following, body=encode(following), claim="c2", max_crashes=3, locks=needs)

    def call(store: RedisStore) -> object:
        answer, begun = store.claims.finish_and_begin(ending, asking)
        return answer in {"ok", "mine"}, begun.verdict

    return call


def taken_back(how: str) -> Callable[[RedisStore], Call]:
    def prepare(store: RedisStore) -> Call:
        message = running(store)
        return lambda store: getattr(store.claims, how)(message.id, "c1")

    return prepare


def kept(store: RedisStore) -> Call:
    return lambda store: store.outbox.put([a_message()], 60_000)


def kept_in_bulk(store: RedisStore) -> Call:
    return lambda store: list(store.outbox.put_all([[a_message()], [a_message()]], 60_000))


def kept_once(store: RedisStore) -> Call:
    def call(store: RedisStore) -> object:
        message = a_message()
        return [one.created for one in store.outbox.put_once([message], [(Same(message.id, "until_done", 60_000),)], 0)]

    return call


def adopted(store: RedisStore) -> Call:
    return lambda store: [one.state for one in store.outbox.adopt([Copy(message=a_message())])]


def buried(store: RedisStore) -> Call:
    return lambda store: store.dead.bury("raw", "mail", b"no message", "it is none")


def sealed(store: RedisStore) -> Call:
    store.batches.open("b", when="all_done", then=None, error=None)
    return lambda store: store.batches.seal("b")


def opened(store: RedisStore) -> Call:
    chunk = a_run()
    begin(store, chunk, "c1")
    return lambda store: open_run(store, chunk, "c1") is not None


#: What lets somebody forget a message, and what it answers once it is confirmed.
FORGETS: dict[str, tuple[Callable[[RedisStore], Call], object]] = {
    "done": (ends("DONE"), "ok"),
    "dead": (ends("DEAD", why="it is"), "ok"),
    "delayed": (ends("DELAYED", due_ms=60_000), "ok"),
    "parked": (ends("PARKED", due_ms=60_000, group="tests.send"), "ok"),
    "cancelled": (ends_cancelled, "cancelled"),
    "settled": (settled, "settled"),
    "busy": (busy, "busy"),
    "stale": (stale, "stale"),
    "expired": (expired, "expired"),
    "locked": (locked, "locked"),
    "paused": (paused, "paused"),
    "told with the next": (told_with_the_next, ("ok", "run")),
    "told here and waiting elsewhere": (told_here_and_waiting_elsewhere, (True, "locked")),
    "lost": (taken_back("lose"), True),
    "released": (taken_back("release"), True),
    "kept": (kept, [True]),
    "kept in bulk": (kept_in_bulk, [[True], [True]]),
    "kept once": (kept_once, [True]),
    "adopted": (adopted, ["READY"]),
    "buried": (buried, None),
    "sealed": (sealed, True),
    "opened": (opened, True),
}
