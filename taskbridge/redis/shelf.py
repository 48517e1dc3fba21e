"""What a worker fetched from a Redis broker and has not acknowledged lies on a shelf of its own.

One script pops from the engine's keys and writes to the shelf, so that nothing is ever only in a process. The shelf is
a hash per worker under our keys, so native workers of the same broker never see it; a supervisor says which workers
live, and what lies on the shelf of one that does not goes back to the front of its queue.
The same for every engine: what differs is how its keys look (``Layout``) and two Lua files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import Protocol

from ..backend import VISIBILITY_MS, Delivery
from ..errors import DecodeError
from ..store import Held, Store
from ..store.keys import Keys
from .script import Script
from .server import Server
from .watch import watch


class Layout(Protocol):
    """How an engine's queues look in Redis."""

    package: str
    """Where its ``fetch.lua`` and ``give_back.lua`` lie."""

    def bands(self, queue: str) -> tuple[list[str], list[str], list[str]]:
        """The keys of a queue's lists: high, normal, low."""

    def keys(self, queue: str) -> list[str]:
        """All keys of a queue: its lists, and what lies beside them."""

    def queue_of(self, list_name: str) -> str:
        """The queue that a list belongs to."""

    def decode(self, delivery: Delivery) -> None:
        """Fill in message and envelope.

        Raises:
            DecodeError: the bytes are no message of this engine.
        """


class ShelfConsumer:
    """Takes native messages off the engine's lists onto the worker's shelf.

    Tags are the worker's own numbers and are never used twice. A worker fetches when it has nothing in hand, so what
    lies on its shelf then is astray: a fetch's reply was lost, or a fetch arrived after the next one, or the hand was
    emptied too late. It goes back to its queues before the next fetch.
    """

    ears: Sequence[int] = ()

    def __init__(self, shelf: Shelf, queues: Sequence[str], owner: str, store: Store) -> None:
        self.more = False
        self._shelf = shelf
        self._owner = owner
        self._key = shelf.keys.shelf(shelf.backend, owner)
        self._held_by_store = getattr(getattr(store, "server", None), "url", None) == shelf.server.url
        self.serve(queues)
        self._give_back = Script(shelf.server, shelf.layout.package, "give_back", [self._key])
        self._last_tag = 0
        self._turn = 0
        self._uncertain = False

    def serve(self, queues: Sequence[str]) -> None:
        shelf = self._shelf
        bands = [shelf.layout.bands(queue) for queue in queues]
        high, normal, low = ([key for of_queue in bands for key in of_queue[i]] for i in range(3))
        self._sizes = (len(high), len(normal))
        self._lists = [*high, *normal, *low]
        keys = [self._key, shelf.keys.owners(shelf.backend), *self._lists]
        self._fetch = Script(shelf.server, shelf.layout.package, "fetch", keys)

    def fetch(self, limit: int) -> list[Delivery]:
        if self._uncertain:
            self._shelf.reclaim(self._owner)
            self._uncertain = False
        base, self._last_tag, self._turn = self._last_tag, self._last_tag + limit, self._turn + 1
        try:
            more, astray, *flat = self._fetch(limit, base, self._owner, self._turn, *self._sizes)
        except BaseException:
            self._uncertain = True
            raise
        self.more, self._uncertain = bool(more), bool(astray)
        return [self._delivery(str(flat[i]), int(flat[i + 1]), flat[i + 2]) for i in range(0, len(flat), 3)]

    def acknowledge(self, delivery: Delivery) -> None:
        self._shelf.server.call("HDEL", self._key, delivery.tag)

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            self._give_back(*(delivery.tag for delivery in reversed(deliveries)))

    def _delivery(self, tag: str, which: int, raw: bytes) -> Delivery:
        delivery = Delivery(tag=tag, queue=self._shelf.layout.queue_of(self._lists[which - 1]), raw=raw)
        delivery.held = Held(self._key, tag) if self._held_by_store else None
        try:
            self._shelf.layout.decode(delivery)
        except DecodeError as error:
            delivery.problem = str(error)
        return delivery


class Shelf:
    """The shelves of one backend on one Redis; a supervisor keeps those of its workers and sweeps those of the gone."""

    def __init__(self, server: Server, keys: Keys, backend: str, layout: Layout, queues: Sequence[str] = ()) -> None:
        self.server = server
        self.keys = keys
        self.backend = backend
        self.layout = layout
        self._lists = [key for queue in queues for band in layout.bands(queue) for key in band]
        self._beat = Script(server, "taskbridge.redis", "beat", [keys.owners(backend)])
        self._unseen = Script(server, "taskbridge.redis", "unseen", [keys.owners(backend)])

    def beat(self, owners: Sequence[str]) -> None:
        if owners:
            self._beat(*owners)

    def reclaim(self, owner: str, *, keep: Sequence[str] = (), done: Sequence[str] = ()) -> int:
        shelf = self.keys.shelf(self.backend, owner)
        if done:
            self.server.call("HDEL", shelf, *done)
        kept = {int(tag) for tag in keep}
        tags = sorted({int(tag) for tag in self.server.call("HKEYS", shelf)} - kept, reverse=True)
        back = Script(self.server, self.layout.package, "give_back", [shelf])(*tags) if tags else 0
        if not kept:
            self.server.call("ZREM", self.keys.owners(self.backend), owner)
        return int(back)

    def sweep(self) -> int:
        return sum(self.reclaim(owner.decode()) for owner in self._unseen(VISIBILITY_MS))

    def watch(self, ring: Callable[[], None], stopping: Event) -> None:
        watch(self.server, self._lists, ring, stopping)
