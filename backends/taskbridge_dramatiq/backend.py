"""The Dramatiq backend: publish, look, and hand out what takes, keeps and runs. Bulk goes in one trip per thousand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from taskbridge.backend import Consumer, Keeper, Place, Runner
from taskbridge.definition import Definitions
from taskbridge.errors import DecodeError
from taskbridge.message import Message
from taskbridge.options import band
from taskbridge.redis.broker import broker_server, publishing
from taskbridge.redis.server import pack
from taskbridge.redis.shelf import Shelf, ShelfConsumer
from taskbridge.store import Store
from taskbridge.store.keys import Keys

from . import wire
from .brokers import CAPABILITIES, OWN_COMMAND, RedisLayout


class DramatiqBackend:
    """Dramatiq's messages on a Redis broker.

    ``middleware`` is a team's own Dramatiq middleware: append to it where the tasks are declared.

    Args:
        place: its name, its broker's URL, and the namespace of our own keys.

    Raises:
        ConfigError: a broker URL that is not Redis.
    """

    engine = "dramatiq"

    def __init__(self, place: Place) -> None:
        self.name = place.name
        self.place = place
        self.middleware: list[Any] = []
        self.capabilities = CAPABILITIES["redis"]
        self.own_command = OWN_COMMAND["redis"]
        self.server = broker_server(place)
        self._layout = RedisLayout(place.queue_prefix)
        self._keys = Keys(place.namespace)

    def publish(self, messages: Sequence[Message]) -> None:
        by_name: dict[str, list[bytes | str]] = {}
        for message in messages:
            name = self._layout.name_of(message.queue, band(message.priority))
            redis_id = f"{message.id}.{message.seq}"
            by_name.setdefault(name, []).extend((redis_id, wire.encode(message, name, redis_id)))
        packed = [pack(("MULTI",))]
        for name, pairs in by_name.items():
            list_name = self._layout.list_of(name)
            packed.append(pack(("HSET", f"{list_name}.msgs", *pairs)))  # before its id is seen in the list
            packed.append(pack(("RPUSH", list_name, *pairs[::2])))
        packed.append(pack(("EXEC",)))
        with publishing(self.server):
            self.server.exchange(b"".join(packed), len(packed))

    def depth(self, queue: str) -> int:
        lists = [key for keys in self._layout.bands(queue) for key in keys]
        with publishing(self.server):
            return sum(self.server.pipeline([("LLEN", key) for key in lists]))

    def scan(self, queue: str, limit: int) -> Iterator[Message]:
        for list_name in [key for keys in self._layout.bands(queue) for key in keys]:
            ids = self.server.call("LRANGE", list_name, 0, limit - 1)
            for raw in self.server.call("HMGET", f"{list_name}.msgs", *ids) if ids else []:
                try:
                    yield wire.decode(raw or b"", queue)[0]
                except DecodeError:
                    continue

    def consumer(self, queues: Sequence[str], owner: str, store: Store) -> Consumer:
        return ShelfConsumer(self._shelf(queues), queues, owner, store)

    def keeper(self, queues: Sequence[str]) -> Keeper:
        return self._shelf(queues)

    def runner(self, definitions: Definitions) -> Runner:
        from .worker import DramatiqRunner

        return DramatiqRunner(self.place, self.middleware, definitions)

    def close(self) -> None:
        self.server.close()

    def _shelf(self, queues: Sequence[str]) -> Shelf:
        return Shelf(self.server, self._keys, self.name, self._layout, queues)
