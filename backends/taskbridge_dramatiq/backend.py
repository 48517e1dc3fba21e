"""The Dramatiq backend: publish, look, and hand out what takes, keeps and runs. Bulk goes in one trip per thousand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from taskbridge.backend import Place, Runner
from taskbridge.definition import Definitions
from taskbridge.errors import DecodeError
from taskbridge.message import Message
from taskbridge.options import band
from taskbridge.redis.broker import RedisBroker, publishing
from taskbridge.redis.script import Script
from taskbridge.redis.server import pack

from . import wire
from .brokers import CAPABILITIES, OWN_COMMAND, RedisLayout


class DramatiqBackend(RedisBroker):
    """Dramatiq's messages on a Redis broker.

    ``middleware`` is a team's own Dramatiq middleware: append to it where the tasks are declared.

    Args:
        place: its name, its broker's URL, and the namespace of our own keys.

    Raises:
        ConfigError: a broker URL that is not Redis.
    """

    engine = "dramatiq"

    def __init__(self, place: Place) -> None:
        self._queues = RedisLayout(place.queue_prefix)
        super().__init__(place, self._queues)
        self.middleware: list[Any] = []
        self.capabilities = CAPABILITIES["redis"]
        self.own_command = OWN_COMMAND["redis"]
        self._push = Script(self.server, self._queues.package, "push", [], more_keys=2)

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        by_name: dict[str, list[bytes | str]] = {}
        for message in messages:
            name = self._queues.name_of(message.queue, band(message.priority))
            redis_id = f"{message.id}.{message.seq}"
            by_name.setdefault(name, []).extend((redis_id, wire.encode(message, name, redis_id, front=front)))
        by_list = {self._queues.list_of(name): pairs for name, pairs in by_name.items()}
        packed = self._kept(by_list, front) if kept or front else _fresh(by_list)
        with publishing(self.server):
            self.server.exchange(b"".join(packed), len(packed))

    def _kept(self, by_list: dict[str, list[bytes | str]], front: bool) -> list[bytes]:
        return [self._push.packed(name, f"{name}.msgs", int(front), *pairs) for name, pairs in by_list.items()]

    def scan(self, queue: str, limit: int) -> Iterator[Message]:
        for list_name in self.lists(queue):
            ids = self.server.call("LRANGE", list_name, 0, limit - 1)
            for raw in self.server.call("HMGET", f"{list_name}.msgs", *ids) if ids else []:
                try:
                    yield wire.decode(raw or b"", queue)[0]
                except DecodeError:
                    continue

    def runner(self, definitions: Definitions) -> Runner:
        from .worker import DramatiqRunner

        return DramatiqRunner(self.place, self.middleware, definitions)


def _fresh(by_list: dict[str, list[bytes | str]]) -> list[bytes]:
    """Return the commands of one transaction; a message is there before its id is seen in the list."""
    packed = [pack(("MULTI",))]
    for name, pairs in by_list.items():
        packed += [pack(("HSET", f"{name}.msgs", *pairs)), pack(("RPUSH", name, *pairs[::2]))]
    return [*packed, pack(("EXEC",))]
