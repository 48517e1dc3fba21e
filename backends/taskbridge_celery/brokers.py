"""How Celery's queues look on each broker, and what each broker does unaided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskbridge.backend import Capabilities, Delivery, Place
from taskbridge.broker import Kind
from taskbridge.errors import DecodeError
from taskbridge.leftovers import Leftover, Leftovers
from taskbridge.message import Message
from taskbridge.options import BAND_SUFFIXES, band
from taskbridge.rabbitmq.broker import RABBITMQ_PAYLOAD_BYTES, RabbitBroker
from taskbridge.redis.broker import RedisBroker, publishing
from taskbridge.redis.script import Script
from taskbridge.redis.server import pack
from taskbridge.sqs.broker import SqsBroker
from taskbridge.sqs.outgoing import MOST_BYTES
from taskbridge.store import Store

from . import wire
from .leftovers import CeleryLeftovers
from .rabbitmq import CeleryDialect

#: kombu appends this and a step to a queue's name for its emulated priorities; 0 is served first.
#: Source: kombu 5.7 transport/redis.py, PRIORITY_STEPS and sep.
SEPARATOR = "\x06\x16"
STEPS = (3, 6, 9)


class RedisLayout:
    """Lists that kombu pushes at the left and pops at the right.

    Celery's own scale on Redis is 0 first to 9 last, and 0 when unset: the steps 0 and 3 are the normal band here, 6
    and 9 the low one. Ours are queues of their own, ``q-high`` and ``q-low``.
    """

    package = "taskbridge_celery"

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def bands(self, queue: str) -> tuple[list[str], list[str], list[str]]:
        name = self._prefix + queue
        steps = [f"{name}{SEPARATOR}{step}" for step in STEPS]
        return [f"{name}-high"], [name, steps[0]], [steps[1], steps[2], f"{name}-low"]

    def keys(self, queue: str) -> list[str]:
        """Return the lists, for each message lies in one of them whole."""
        return [key for keys in self.bands(queue) for key in keys]

    def list_of(self, queue: str, band: str) -> str:
        """Return the list that carries a band of a queue."""
        return f"{self._prefix}{queue}{band}"

    def queue_of(self, list_name: str) -> str:
        """Return the queue that a list belongs to."""
        name = list_name.partition(SEPARATOR)[0].removeprefix(self._prefix)
        return name.removesuffix("-high").removesuffix("-low")

    def decode(self, delivery: Delivery) -> None:
        delivery.message, delivery.envelope = wire.decode(delivery.raw, delivery.queue)


class OnRedis(RedisBroker):
    """Bulk goes in one trip per thousand."""

    def __init__(self, place: Place) -> None:
        self._queues = RedisLayout(place.queue_prefix)
        super().__init__(place, self._queues)
        self._push = Script(self.server, self._queues.package, "push", [], more_keys=1)

    def queue_of(self, name: str) -> str:
        return self._queues.queue_of(name)

    def there(self, queue: str) -> list[str]:
        return [self._queues.list_of(queue, suffix) for suffix in BAND_SUFFIXES]

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

    def peek(self, places: Sequence[tuple[str, int]]) -> list[bytes | None]:
        return self.server.pipeline([("LINDEX", key, -1 - behind) for key, behind in places])

    def leftovers(self, queues: Sequence[str], owner: str, store: Store, visibility_s: float | None) -> Leftovers:
        return CeleryLeftovers(self.place, self.server, self._queues, queues, owner, store, visibility_s)

    def scan(self, queue: str, limit: int) -> Iterator[Message]:
        for list_name in self.lists(queue):
            for raw in reversed(self.server.call("LRANGE", list_name, -limit, -1)):
                try:
                    yield wire.decode(raw, queue)[0]
                except DecodeError:
                    continue


class SqsDialect:
    """The same envelope. Celery is the first engine on SQS: its queues have plain names."""

    suffix = ""
    others: tuple[str, ...] = ("-dramatiq",)

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
        return wire.group_of(message)


#: On SQS a message is base64, four bytes for three, of JSON that has the arguments in it as a text, where each of their
#: quotes is two bytes. So much of ours always fits; the rest is what Celery adds.
SQS_PAYLOAD_BYTES = MOST_BYTES * 3 // 8 - 8_192


def on_sqs(place: Place) -> SqsBroker:
    """Return Celery's queues on SQS."""
    return SqsBroker(place, SqsDialect())


#: Under Celery's own command on Redis: it hides what it has fetched for 45 s and looks for it every two
#: (``worker.new_app``); kombu reads its queues in turn, whatever their order; bytes that are no message break its
#: connection. Its own hard limit is none while the broker is away, and leaves it open whether the attempt failed.
#: Source: kombu 5.7 transport/redis.py, ``_brpop_read`` and ``queue_order_strategy``.
#: On RabbitMQ: no message is shown without handing it out; its own command has all its queues pushed at once.
#: On SQS: what it has fetched is hidden for as long as the queue says, 30 s where we made it.
KINDS = {
    "redis": Kind(
        connect=OnRedis,
        capabilities=Capabilities(),
        own_command=Capabilities(rests=False, bands=False, poison=False, hard_timeout=False, recovery_s=50.0),
        own_ping_s=2.0,
    ),
    "rabbitmq": Kind(
        connect=lambda place: RabbitBroker(place, CeleryDialect()),
        capabilities=Capabilities(scan=False, max_payload=RABBITMQ_PAYLOAD_BYTES),
        own_command=Capabilities(
            rests=False, scan=False, bands=False, hard_timeout=False, max_payload=RABBITMQ_PAYLOAD_BYTES
        ),
        own_ping_s=2.0,
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
            hard_timeout=False,
            recovery_s=50.0,
            max_payload=SQS_PAYLOAD_BYTES,
        ),
    ),
}
