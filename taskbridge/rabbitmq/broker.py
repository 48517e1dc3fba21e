"""RabbitMQ as a broker: what every engine on it has in common. py-amqp is imported when a connection is needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

from ..backend import Consumer, Delivery, Keeper, Level, Place
from ..errors import BackendNotInstalled, ConfigError, TaskbridgeError
from ..handed import HandedLeftovers
from ..leftovers import Leftover, Leftovers
from ..message import Message
from ..options import band
from ..store import Store
from .address import parse
from .queues import FRONT, Names, Parcel, Queue

if TYPE_CHECKING:
    from .content import Content
    from .publisher import Line, Publisher

log = logging.getLogger("taskbridge")

#: How often a supervisor looks whether something waits that its children do not take, seconds; those that sleep are
#: woken by the broker itself.
LOOK_EVERY_S = 2.0

#: Most bytes of a message's body: 16 MiB, less what an engine's own form adds to ours. A broker of 3.x takes more.
#: Source: RabbitMQ 4.0 release notes, ``max_message_size``.
RABBITMQ_PAYLOAD_BYTES = 16_777_216 - 16_384


class Dialect(Protocol):
    """How an engine's messages and queues look on RabbitMQ."""

    suffix: str
    """What the names of its queues end with: no two engines share one."""
    others: Sequence[str]
    """The suffixes of other engines."""
    last: Sequence[str]
    """Endings of queues of the engine's own that are read after all others."""

    def shape(self, name: str, more: Mapping[str, Any]) -> list[Queue]:
        """Return a queue as the engine declares it, its arguments with these more, and what belongs to it."""

    def encode(self, message: Message, name: str, *, front: bool) -> Parcel:
        """Return a message as it goes to a queue."""

    def decode(self, delivery: Delivery, content: Content) -> None:
        """Fill in message and envelope, and make ``raw`` all that is worth keeping.

        Raises:
            DecodeError: it is no message of this engine.
        """

    def describe(self, one: Leftover, delivery: Delivery) -> None:
        """Say what a message is, for who moves it."""


class RabbitBroker:
    """One engine's queues on one RabbitMQ.

    Args:
        place: the backend's name, its broker's URL, and the prefix of its queues.
        dialect: how the engine's messages look.

    Raises:
        ConfigError: the URL has a part that cannot be.
        BackendNotInstalled: py-amqp is missing.
    """

    def __init__(self, place: Place, dialect: Dialect) -> None:
        self.address = parse(place.broker_url)
        suffix = dialect.suffix if self.address.queue_suffix is None else self.address.queue_suffix
        self.names = Names(prefix=place.queue_prefix, suffix=suffix, last=dialect.last, others=dialect.others)
        self.publisher = _publisher(self)
        self.patience_s = self.address.consumer_timeout_s
        self.ordered = self.address.queue_type == "classic"  # what a quorum queue does depends on its policy
        self._not_made: set[str] = set()
        self._dialect = dialect

    def shape(self, name: str) -> list[Queue]:
        """Return a queue of a name as it is made where it is missing, with what belongs to it."""
        more = {} if self.address.queue_type == "classic" else {"x-queue-type": self.address.queue_type}
        return self._dialect.shape(name, more)

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        """Publish; what belongs in a part of a queue that we may not make goes into the queue itself."""
        from .connection import NotMade

        try:
            self.publisher.publish([self._parcel(message, front=front) for message in messages])
        except NotMade as error:
            parts = {self._part(message, front=front) for message in messages} - {""}
            part = next((part for part in parts if error.name in [queue.name for queue in self.shape(part)]), "")
            if not part:
                raise
            self._not_made.add(part)
            log.warning("what belongs in %r goes into its queue, behind what waits there: %s", part, error)
            self.publish(messages, front=front)

    def _parcel(self, message: Message, *, front: bool) -> Parcel:
        part = self._part(message, front=front)
        name = self.names.of(message.queue) if not part or part in self._not_made else part
        return self._dialect.encode(message, name, front=front)

    def _part(self, message: Message, *, front: bool) -> str:
        """Return the name of the part of its queue where a message belongs; empty for the queue itself."""
        part = FRONT if front else band(message.priority)
        return self.names.of(message.queue, part) if part else ""

    def depth(self, queue: str) -> int:
        return self.levels([queue])[0].waiting

    def levels(self, queues: Sequence[str]) -> list[Level]:
        """How much waits; since when is not told, for no message is shown without handing it out."""
        names = [[one.name for one in self.names.read(queue)] for queue in queues]

        def look(line: Line) -> list[Level]:
            depth = line.connection.depth
            return [Level(waiting=sum(depth(name) or 0 for name in of_queue)) for of_queue in names]

        return self.publisher.ask(look) if queues else []

    def scan(self, queue: str, limit: int) -> Iterator[Message]:
        """Nothing: RabbitMQ shows a message by handing it out, and quorum queues count that against its life."""
        return iter(())

    def queue_of(self, name: str) -> str:
        return self.names.queue_of(name)

    def there(self, queue: str) -> list[str]:
        """Return the names of the parts of a queue that are there, or were made; of others the log tells."""
        there = []
        for part in self.names.read(queue):
            queues = self.shape(part.name)
            try:
                self.publisher.ask(lambda line, queues=queues: line.connection.make(queues))  # type: ignore[misc]
            except ConfigError as error:
                if part.main:
                    raise
                log.warning("%s is not read: %s", part.name, error)
            else:
                there.append(part.name)
        return there

    def doubts(self, queues: Sequence[str]) -> list[str]:
        """None: a queue that is there is taken as it is."""
        return []

    def leftovers(self, queues: Sequence[str], owner: str, store: Store, visibility_s: float | None) -> Leftovers:
        consumer = self.consumer(queues, owner, store)
        return HandedLeftovers(consumer, lambda: sum(map(self.depth, queues)), self._dialect.describe)

    def consumer(self, queues: Sequence[str], owner: str, store: Store) -> Consumer:
        from .consumer import RabbitConsumer

        readings = sorted((one for queue in queues for one in self.names.read(queue)), key=lambda one: one.rank)
        return RabbitConsumer(self.address, readings, self.shape, self._dialect.decode)

    def keeper(self, queues: Sequence[str]) -> Keeper:
        return RabbitKeeper(lambda: sum(level.waiting for level in self.levels(queues)))

    def remove(self, queues: Sequence[str]) -> None:
        """Delete these queues with all that lies in them, and what the engine has beside them."""
        names = {queue.name for one in queues for reading in self.names.read(one) for queue in self.shape(reading.name)}
        self.publisher.ask(lambda line: line.connection.delete(sorted(names)))

    def ping(self) -> None:
        self.publisher.ask(lambda line: line.connection.depth(self.names.of("default")))

    def close(self) -> None:
        self.publisher.close()


class RabbitKeeper:
    """There is little to keep: the broker knows who lives, and has back what the dead had fetched.

    Args:
        waiting: says how many messages wait.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._waiting = waiting

    def beat(self, owners: Sequence[str]) -> None:
        """Each worker has heartbeats of its own."""

    def reclaim(self, owner: str, *, keep: Sequence[str] = (), done: Sequence[str] = ()) -> int:
        """Nobody but the worker can give back what came by its connection; when it is dead the broker has it."""
        return 0

    def sweep(self) -> int:
        return 0

    def watch(self, ring: Callable[[], None], stopping: Event) -> None:
        while not stopping.wait(LOOK_EVERY_S):
            try:
                if self._waiting():
                    ring()
            except TaskbridgeError:
                continue  # who publishes and who fetches says so


def _publisher(broker: RabbitBroker) -> Publisher:
    try:
        from .publisher import Publisher
    except ModuleNotFoundError as error:
        raise BackendNotInstalled(
            f"RabbitMQ needs the package {error.name!r}: pip install 'taskbridge[rabbitmq]'"
        ) from error
    return Publisher(broker.address, broker.shape)
