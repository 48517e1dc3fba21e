"""The Celery backend: publish, look, and hand out what takes, keeps and runs. Bulk goes in one trip per thousand."""

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


class CeleryBackend(RedisBroker):
    """Celery's messages on a Redis broker.

    ``conf`` is a team's own Celery configuration, such as ``{"result_backend": ...}``: set where tasks are declared.

    Args:
        place: its name, its broker's URL, and the namespace of our own keys.

    Raises:
        ConfigError: a broker URL that is not Redis.
    """

    engine = "celery"

    def __init__(self, place: Place) -> None:
        self._queues = RedisLayout(place.queue_prefix)
        super().__init__(place, self._queues)
        self.conf: dict[str, Any] = {}
        self.capabilities = CAPABILITIES["redis"]
        self.own_command = OWN_COMMAND["redis"]
        self._push = Script(self.server, self._queues.package, "push", [], more_keys=1)

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        by_list: dict[str, list[bytes]] = {}
        for message in messages:
            list_name = self._queues.list_of(message.queue, band(message.priority))
            by_list.setdefault(list_name, []).append(wire.encode(message, list_name, front=front))
        packed = [self._packed(list_name, raw, kept, front) for list_name, raw in by_list.items()]
        with publishing(self.server):
            self.server.exchange(b"".join(packed), len(packed))

    def _packed(self, list_name: str, raw: list[bytes], kept: bool, front: bool) -> bytes:
        return self._push.packed(list_name, int(front), *raw) if kept or front else pack(("LPUSH", list_name, *raw))

    def scan(self, queue: str, limit: int) -> Iterator[Message]:
        for list_name in self.lists(queue):
            for raw in reversed(self.server.call("LRANGE", list_name, -limit, -1)):
                try:
                    yield wire.decode(raw, queue)[0]
                except DecodeError:
                    continue

    def runner(self, definitions: Definitions) -> Runner:
        from .worker import CeleryRunner

        return CeleryRunner(self.place, self.conf, definitions)
