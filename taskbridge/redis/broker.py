"""Redis as a broker: what every engine on it has in common, and a broker's errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..backend import Consumer, Delivery, Keeper, Level, Place
from ..errors import BrokerUnavailable, DecodeError, StoreFull, StoreUnavailable
from ..store import Store
from ..store.keys import Keys
from .server import Server
from .shelf import Layout, Shelf, ShelfConsumer

#: What stands in a message that has waited already, for a lock or a limit: it lies before what came earlier.
LET_ON = b'"front":true'

#: Where to look behind such a one, for the first that is none; ``push.lua`` of each engine keeps 200 of them in order.
BEHIND = (1, 16, 256)


class RedisBroker:
    """One engine's queues on one Redis; the engine adds ``publish``, ``peek`` and ``scan``, which know its messages.

    Args:
        place: the backend's name, its broker's URL, and the namespace of our own keys.
        layout: how the engine's queues look.
    """

    def __init__(self, place: Place, layout: Layout) -> None:
        self.name = place.name
        self.place = place
        self.server = Server(place.broker_url)
        self._layout = layout
        self._keys = Keys(place.namespace)

    def depth(self, queue: str) -> int:
        with publishing(self.server):
            return sum(self.server.pipeline([("LLEN", key) for key in self.lists(queue)]))

    def levels(self, queues: Sequence[str]) -> list[Level]:
        if not queues:
            return []
        lists = {queue: self.lists(queue) for queue in queues}
        keys = [key for of_queue in lists.values() for key in of_queue]
        with publishing(self.server):
            lengths = dict(zip(keys, self.server.pipeline([("LLEN", key) for key in keys]), strict=True))
            filled = {key: length for key, length in lengths.items() if length}
            since = self._since(filled) if filled else {}
        return [
            Level(
                waiting=sum(lengths[key] for key in of_queue),
                since_ms=min((since[key] for key in of_queue if since.get(key)), default=0),
            )
            for of_queue in lists.values()
        ]

    def peek(self, places: Sequence[tuple[str, int]]) -> list[bytes | None]:
        """Return the message so many behind the first of a list, for each place, of which there are some."""
        raise NotImplementedError

    def doubts(self, queues: Sequence[str]) -> list[str]:
        """None: a list needs no setting up, and the server is looked at as a store."""
        return []

    def consumer(self, queues: Sequence[str], owner: str, store: Store) -> Consumer:
        return ShelfConsumer(self._shelf(queues), queues, owner, store)

    def keeper(self, queues: Sequence[str]) -> Keeper:
        return self._shelf(queues)

    def ping(self) -> None:
        with publishing(self.server):
            self.server.call("PING")

    def remove(self, queues: Sequence[str]) -> None:
        owners = self._keys.owners(self.name)
        with publishing(self.server):
            shelves = [
                self._keys.shelf(self.name, owner.decode()) for owner in self.server.call("ZRANGE", owners, 0, -1)
            ]
            self.server.call("UNLINK", owners, *shelves, *(key for queue in queues for key in self._layout.keys(queue)))

    def close(self) -> None:
        self.server.close()

    def lists(self, queue: str) -> list[str]:
        """The lists of a queue, all bands, in the order they are read."""
        return [key for keys in self._layout.bands(queue) for key in keys]

    def _since(self, lengths: dict[str, int]) -> dict[str, int]:
        """Since when the oldest of each list waits. Behind those that were let on lie others, which wait for longer."""
        firsts = dict(zip(lengths, self.peek([(key, 0) for key in lengths]), strict=True))
        let_on = [key for key, raw in firsts.items() if raw and LET_ON in raw]
        further = [(key, min(places, lengths[key] - 1)) for key in let_on for places in BEHIND]
        behind = self.peek(further) if further else []
        found = [*firsts.items(), *zip((key for key, _ in further), behind, strict=True)]
        since: dict[str, int] = {}
        for key, raw in found:
            if since_ms := self._ready_at(key, raw):
                since[key] = min(since_ms, since.get(key, since_ms))
        return since

    def _ready_at(self, key: str, raw: bytes | None) -> int:
        delivery = Delivery(tag="", queue=self._layout.queue_of(key), raw=raw or b"")
        try:
            self._layout.decode(delivery)
        except DecodeError:
            return 0
        return delivery.message.ready_at_ms if delivery.message else 0

    def _shelf(self, queues: Sequence[str]) -> Shelf:
        return Shelf(self.server, self._keys, self.name, self._layout, queues)


@contextmanager
def publishing(server: Server) -> Iterator[None]:
    """Call an absent server a broker that is away; a full one stays ``StoreFull``."""
    try:
        yield
    except StoreFull:
        raise
    except StoreUnavailable as error:
        raise BrokerUnavailable(f"the broker {error}") from error
