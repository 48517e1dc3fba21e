"""Redis as a broker: what every engine on it has in common, and a broker's errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..backend import Consumer, Keeper, Place
from ..errors import BrokerUnavailable, StoreFull, StoreUnavailable
from ..store import Store
from ..store.keys import Keys
from .server import Server
from .shelf import Layout, Shelf, ShelfConsumer


class RedisBroker:
    """One engine's queues on one Redis; the engine adds ``publish`` and ``scan``, which know how its messages look.

    Args:
        place: the backend's name, its broker's URL, and the namespace of our own keys.
        layout: how the engine's queues look.
    """

    def __init__(self, place: Place, layout: Layout) -> None:
        self.name = place.name
        self.server = Server(place.broker_url)
        self._layout = layout
        self._keys = Keys(place.namespace)

    def depth(self, queue: str) -> int:
        with publishing(self.server):
            return sum(self.server.pipeline([("LLEN", key) for key in self.lists(queue)]))

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

    def close(self) -> None:
        self.server.close()

    def lists(self, queue: str) -> list[str]:
        """The lists of a queue, all bands, in the order they are read."""
        return [key for keys in self._layout.bands(queue) for key in keys]

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
