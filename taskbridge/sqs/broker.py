"""SQS as a broker, the same for every engine: what differs is how an engine's messages look (``Dialect``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Event
from typing import Protocol

from ..backend import Consumer, Delivery, Keeper, Level, Place
from ..clock import SystemClock
from ..handed import HandedLeftovers
from ..leftovers import Leftover, Leftovers
from ..message import Message
from ..options import band
from ..redis.url import redacted
from ..store import Store
from . import body
from .client import Client, NoQueue
from .consumer import SqsConsumer
from .names import FRONT, PARTS, Names
from .outgoing import MOST, Letter, send
from .queues import Queues
from .url import parse

#: How many messages of a queue can be received now, as far as SQS knows. Source: SQS API Reference, GetQueueAttributes.
WAITING = "ApproximateNumberOfMessages"


#: A message that is received so often has been begun, or its queue's workers die all the time: each that was busy when
#: it got the message, and each that died, has received it once.
RECEIVED_OFTEN = 20


class Dialect(Protocol):
    """How an engine's messages and queues look on SQS."""

    suffix: str
    """What its queues' names end in; empty for the first engine."""
    others: tuple[str, ...]
    """The suffixes of other engines."""

    def encode(self, message: Message, name: str, *, front: bool = False) -> bytes:
        """Return a message as the engine's own transport writes it for the queue of this name, but for base64."""

    def decode(self, delivery: Delivery) -> None:
        """Fill in message and envelope.

        Raises:
            DecodeError: the bytes are no message of this engine.
        """

    def describe(self, one: Leftover, delivery: Delivery) -> None:
        """Say what a message is, for who moves it."""

    def group_of(self, message: Message) -> str:
        """Return the message group that a fair queue tells tenants apart by; empty for none."""


class SqsBroker:
    """One engine's queues on SQS.

    Args:
        place: the backend's name, its broker's URL, and the URLs of queues that are given.
        dialect: how the engine's messages look.

    Raises:
        ConfigError: a URL that cannot be.
        BackendNotInstalled: boto3 is missing.
    """

    def __init__(self, place: Place, dialect: Dialect) -> None:
        address = parse(place.broker_url)
        self.name = place.name
        self._dialect = dialect
        self.names = Names(prefix=place.queue_prefix, suffix=dialect.suffix, others=dialect.others)
        self._client = Client(address, redacted(place.broker_url))
        self.queues = Queues(self._client, self.names, place.queues, create=address.create)
        self._clock = SystemClock()
        self._consumers: set[SqsConsumer] = set()

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        """Send in batches. ``kept`` means nothing here, for SQS is never full; ``front`` goes to queues of its own."""
        letters: dict[tuple[str, str], list[Letter]] = {}
        for message in messages:
            part = FRONT if front else band(message.priority)
            letters.setdefault((message.queue, part), []).append(self._letter(message, part, front=front))
        try:
            self._send(letters)
        except NoQueue:  # deleted, and perhaps made anew, since it was found: what was sent already is recognised
            for queue, part in letters:
                self.queues.forget(self.queues.find(queue, part))
            self._send(letters)

    def depth(self, queue: str) -> int:
        return sum(self._waiting(queue, part) for part in PARTS)

    def levels(self, queues: Sequence[str]) -> list[Level]:
        """How much waits; since when is not told, for no message is shown but to who receives it."""
        return [Level(waiting=self.depth(queue)) for queue in queues]

    def scan(self, queue: str, limit: int) -> Iterator[Message]:
        """Nothing: SQS shows a message only to who receives it, and ``Capabilities.scan`` says so."""
        return iter(())

    def queue_of(self, name: str) -> str:
        return self.names.queue_of(name)

    def there(self, queue: str) -> list[str]:
        """Return the names of the parts of a queue that are there, or were made."""
        return list(self.queues.there(queue))

    def doubts(self, queues: Sequence[str]) -> list[str]:
        """Queues that are not there and will not be made, and those from which SQS itself takes messages away soon."""
        return [doubt for queue in queues for part in PARTS if (doubt := self._doubt(queue, part))]

    def leftovers(self, queues: Sequence[str], owner: str, store: Store, visibility_s: float | None) -> Leftovers:
        consumer = self.consumer(queues, owner, store)
        return HandedLeftovers(consumer, lambda: sum(map(self.depth, queues)), self._dialect.describe)

    def consumer(self, queues: Sequence[str], owner: str, store: Store) -> Consumer:
        if not queues:
            self._client.load()
        consumer = SqsConsumer(self._client, self.queues, queues, self._dialect.decode)
        self._consumers.add(consumer)
        return consumer

    def keeper(self, queues: Sequence[str]) -> Keeper:
        return SqsKeeper()

    def hide(self, received: Iterable[tuple[str, str]], seconds: int) -> None:
        """Hide what an engine's own worker holds, by queue URL and receipt handle, for so long from now on.

        Raises:
            BrokerUnavailable, ConfigError: no answer; some may be hidden. What was deleted meanwhile is left out.
        """
        by_url: dict[str, list[str]] = {}
        for url, handle in received:
            by_url.setdefault(url, []).append(handle)
        for url, handles in by_url.items():
            for at in range(0, len(handles), MOST):
                entries = [
                    {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
                    for n, handle in enumerate(handles[at : at + MOST])
                ]
                self._client.call("change_message_visibility_batch", QueueUrl=url, Entries=entries)

    def ping(self) -> None:
        try:
            self._client.call("get_queue_url", QueueName=self.names.of("default"))
        except NoQueue:
            return

    def remove(self, queues: Sequence[str]) -> None:
        for queue in queues:
            for part in PARTS:
                if url := self.queues.find(queue, part):
                    self._client.call("delete_queue", QueueUrl=url)
                    self.queues.forget(url)

    def close(self) -> None:
        for consumer in list(self._consumers):
            consumer.close()
        self._client.close()

    def _letter(self, message: Message, part: str, *, front: bool) -> Letter:
        name = self.names.of(message.queue, part)
        text = body.to_text(self._dialect.encode(message, name, front=front))
        return Letter(message.id, text, self._dialect.group_of(message))

    def _send(self, letters: dict[tuple[str, str], list[Letter]]) -> None:
        by_url: dict[str, list[Letter]] = {}
        for (queue, part), some in letters.items():
            by_url.setdefault(self.queues.need_or(queue, part), []).extend(some)
        send(by_url, self._client, self._clock)

    def _doubt(self, queue: str, part: str) -> str:
        name, url = self.names.of(queue, part), self.queues.find(queue, part)
        if not url:
            return "" if part or self.queues.create else f"there is no queue {name!r}, and create=false: make it"
        said = self._client.call("get_queue_attributes", QueueUrl=url, AttributeNames=["RedrivePolicy"])
        policy = json.loads(said.get("Attributes", {}).get("RedrivePolicy") or "{}")
        received = int(policy.get("maxReceiveCount") or RECEIVED_OFTEN)
        if received >= RECEIVED_OFTEN:
            return ""
        return (
            f"SQS moves a message out of {name!r} that was received {received} times, whether or not it was begun: set "
            f"maxReceiveCount of its redrive policy to {RECEIVED_OFTEN} or more; what fails goes to our dead letters"
        )

    def _waiting(self, queue: str, part: str) -> int:
        url = self.queues.find(queue, part)
        if not url:
            return 0
        try:
            said = self._client.call(
                "get_queue_attributes", expects="Attributes", QueueUrl=url, AttributeNames=[WAITING]
            )
        except NoQueue:
            self.queues.forget(url)
            return 0
        return int(said["Attributes"][WAITING])


class SqsKeeper:
    """Nothing is kept from outside: what a worker had in hand is seen by others when its time is over."""

    def beat(self, owners: Sequence[str]) -> None:
        """SQS knows no workers."""

    def reclaim(self, owner: str, *, keep: Sequence[str] = (), done: Sequence[str] = ()) -> int:
        return 0

    def sweep(self) -> int:
        return 0

    def watch(self, ring: Callable[[], None], stopping: Event) -> None:
        """Each worker process polls for itself."""
        stopping.wait()
