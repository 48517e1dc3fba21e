"""How Dramatiq's queues look on each broker, and what each broker does unaided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskbridge.backend import Capabilities, Delivery, Place
from taskbridge.broker import Kind
from taskbridge.errors import DecodeError
from taskbridge.leftovers import Leftover, Leftovers
from taskbridge.message import Message
from taskbridge.options import band
from taskbridge.rabbitmq.broker import RABBITMQ_PAYLOAD_BYTES, RabbitBroker
from taskbridge.redis.broker import RedisBroker, publishing
from taskbridge.redis.script import Script
from taskbridge.redis.server import pack
from taskbridge.sqs.broker import SqsBroker
from taskbridge.sqs.outgoing import MOST_BYTES
from taskbridge.store import Store

from . import wire
from .leftovers import DramatiqLeftovers
from .rabbitmq import DramatiqDialect

#: Prefix of every key of Dramatiq's Redis broker. Source: dramatiq/brokers/redis.py, ``namespace``.
NAMESPACE = "dramatiq"


class RedisLayout:
    """A list of ids per queue, pushed at the right and popped at the left, and a hash of messages beside it.

    The list of native delayed messages is read in the low band: what is not due yet waits in the store.
    """

    package = "taskbridge_dramatiq"

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def bands(self, queue: str) -> tuple[list[str], list[str], list[str]]:
        name = f"{NAMESPACE}:{self._prefix}{queue}"
        return [f"{name}-high"], [name], [f"{name}-low", name + wire.DELAYED]

    def keys(self, queue: str) -> list[str]:
        """Return the lists, and the hash of messages beside each."""
        return [key for keys in self.bands(queue) for name in keys for key in (name, f"{name}.msgs")]

    def name_of(self, queue: str, band: str) -> str:
        """Return Dramatiq's name of the queue that carries a band of a queue."""
        return f"{self._prefix}{queue}{band}"

    def all_of(self, queue: str) -> list[str]:
        """Return Dramatiq's names of the queues that carry one of ours, that of its normal band first."""
        return [self.name_of(queue, band) for band in ("", "-high", "-low")]

    def list_of(self, name: str) -> str:
        """Return the list of one of Dramatiq's queues."""
        return f"{NAMESPACE}:{name}"

    def queue_of(self, list_name: str) -> str:
        """Return the queue that a list belongs to."""
        name = list_name.removeprefix(f"{NAMESPACE}:").removesuffix(wire.DELAYED).removeprefix(self._prefix)
        return name.removesuffix("-high").removesuffix("-low")

    def decode(self, delivery: Delivery) -> None:
        delivery.message, delivery.envelope = wire.decode(delivery.raw, delivery.queue)


class OnRedis(RedisBroker):
    """Bulk goes in one trip per thousand."""

    def __init__(self, place: Place) -> None:
        self._queues = RedisLayout(place.queue_prefix)
        super().__init__(place, self._queues)
        self._push = Script(self.server, self._queues.package, "push", [], more_keys=2)

    def queue_of(self, name: str) -> str:
        return self._queues.queue_of(self._queues.list_of(name))

    def there(self, queue: str) -> list[str]:
        return self._queues.all_of(queue)

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

    def peek(self, places: Sequence[tuple[str, int]]) -> list[bytes | None]:
        ids = self.server.pipeline([("LINDEX", key, behind) for key, behind in places])
        return self.server.pipeline(
            [("HGET", f"{key}.msgs", id or b"") for (key, _), id in zip(places, ids, strict=True)]
        )

    def leftovers(self, queues: Sequence[str], owner: str, store: Store, visibility_s: float | None) -> Leftovers:
        return DramatiqLeftovers(self.place, self.server, self._queues, queues, owner, store, visibility_s)

    def scan(self, queue: str, limit: int) -> Iterator[Message]:
        for list_name in self.lists(queue):
            ids = self.server.call("LRANGE", list_name, 0, limit - 1)
            for raw in self.server.call("HMGET", f"{list_name}.msgs", *ids) if ids else []:
                try:
                    yield wire.decode(raw or b"", queue)[0]
                except DecodeError:
                    continue


def _fresh(by_list: dict[str, list[bytes | str]]) -> list[bytes]:
    """Return the commands of one transaction; a message is there before its id is seen in the list."""
    packed = [pack(("MULTI",))]
    for name, pairs in by_list.items():
        packed += [pack(("HSET", f"{name}.msgs", *pairs)), pack(("RPUSH", name, *pairs[::2]))]
    return [*packed, pack(("EXEC",))]


class SqsDialect:
    """The same JSON. Dramatiq is the second engine on SQS: its queues' names end in ``-dramatiq``."""

    suffix = wire.SUFFIX
    others: tuple[str, ...] = ()

    def encode(self, message: Message, name: str, *, front: bool = False) -> bytes:
        return wire.encode(message, name, front=front)

    def decode(self, delivery: Delivery) -> None:
        delivery.message, delivery.envelope = wire.decode(delivery.raw, delivery.queue)

    def describe(self, one: Leftover, delivery: Delivery) -> None:
        if delivery.message is not None:
            wire.describe(one, delivery.message, delivery.envelope, delivery.message.priority)
        else:
            one.task = wire.task_of(delivery.raw)

    def group_of(self, message: Message) -> str:
        """None: dramatiq-sqs has no word for it."""
        return ""


#: On SQS a message is base64, four bytes for three. So much of ours always fits; the rest is what Dramatiq adds.
SQS_PAYLOAD_BYTES = MOST_BYTES * 3 // 4 - 8_192


def on_sqs(place: Place) -> SqsBroker:
    """Return Dramatiq's queues on SQS."""
    return SqsBroker(place, SqsDialect())


#: Under Dramatiq's own command on Redis: it has a consumer per queue, in no order; bytes that it cannot read strand
#: what it fetched with them until it restarts; a silent worker is found by the commands of others
#: (``native.MAINTENANCE_CHANCE``); its tasks run in threads, where a signal raises nothing.
#: Source: dramatiq 2.2 worker.py and brokers/redis.py.
#: On RabbitMQ: no message is shown without handing it out; bytes that it cannot read go to dead letters of its own.
#: On SQS: bytes that it cannot read come again for ever. Source: dramatiq-sqs 0.4 broker.py.
KINDS = {
    "redis": Kind(
        connect=OnRedis,
        capabilities=Capabilities(),
        own_command=Capabilities(
            rests=False, bands=False, poison=False, soft_timeout=False, hard_timeout=False, recovery_s=60.0
        ),
    ),
    "rabbitmq": Kind(
        connect=lambda place: RabbitBroker(place, DramatiqDialect()),
        capabilities=Capabilities(scan=False, max_payload=RABBITMQ_PAYLOAD_BYTES),
        own_command=Capabilities(
            rests=False,
            scan=False,
            bands=False,
            poison=False,
            soft_timeout=False,
            hard_timeout=False,
            max_payload=RABBITMQ_PAYLOAD_BYTES,
        ),
    ),
    "sqs": Kind(
        connect=on_sqs,
        capabilities=Capabilities(ordered=False, scan=False, recovery_s=50.0, max_payload=SQS_PAYLOAD_BYTES),
        own_command=Capabilities(
            rests=False,
            bands=False,
            ordered=False,
            scan=False,
            poison=False,
            soft_timeout=False,
            hard_timeout=False,
            recovery_s=50.0,
            max_payload=SQS_PAYLOAD_BYTES,
        ),
    ),
}
