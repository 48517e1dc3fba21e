"""Dramatiq's own broker on each kind of ours: one for its own command, and one that only sends, for our children."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from dramatiq import Message
from dramatiq.broker import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis, dq_name
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Callbacks, CurrentMessage, Middleware, Pipelines

from taskbridge.errors import BrokerUnavailable
from taskbridge.options import BAND_SUFFIXES
from taskbridge.rabbitmq.broker import RabbitBroker
from taskbridge.rabbitmq.queues import PARTS, Parcel
from taskbridge.sqs.broker import SqsBroker

from . import wire

if TYPE_CHECKING:
    from .backend import DramatiqBackend

log = logging.getLogger("taskbridge")

#: Its own workers on Redis: silent for so long is dead (ms), and out of a million commands so many look for the dead.
#: The defaults (60 s, 1,000) take minutes on a quiet queue; a live one that was silent is recognised by the store.
HEARTBEAT_TIMEOUT_MS = 15_000
MAINTENANCE_CHANCE = 100_000


def name_of(backend: DramatiqBackend, queue: str, part: str = "") -> str:
    """Return what Dramatiq calls a part of a queue."""
    if isinstance(backend.broker, RabbitBroker | SqsBroker):
        return backend.broker.names.of(queue, part)
    return f"{backend.place.queue_prefix}{queue}{part}"


def parts_of(backend: DramatiqBackend) -> Sequence[str]:
    """Return the parts of a queue that are read."""
    return PARTS if isinstance(backend.broker, RabbitBroker | SqsBroker) else BAND_SUFFIXES


def queue_of(backend: DramatiqBackend, name: str) -> str:
    """Return which queue of ours something that Dramatiq calls so belongs to."""
    return backend.broker.queue_of(name.removesuffix(wire.DELAYED))


def read_for(backend: DramatiqBackend, names: Collection[str] | None, declared: Collection[str]) -> set[str]:
    """Return what Dramatiq's command reads that is told to read these, or nothing: all parts that are there.

    Raises:
        ConfigError: a queue is not there, and may not be made.
        BrokerUnavailable: no answer.
    """
    if names:
        return {part for queue in {queue_of(backend, name) for name in names} for part in backend.broker.there(queue)}
    ours = {queue_of(backend, name) for name in declared}
    parts = {name_of(backend, queue, part) for queue in ours for part in parts_of(backend)}
    there = {part for queue in ours if name_of(backend, queue) in declared for part in backend.broker.there(queue)}
    return (set(declared) - parts) | (set(declared) & there)


def own_broker(backend: DramatiqBackend, *more: Middleware) -> Broker:
    """Return Dramatiq's broker for its own command, every policy of its own off.

    Raises:
        ModuleNotFoundError: it needs a client that is not installed.
    """
    if isinstance(backend.broker, RabbitBroker):
        from .own_rabbitmq import own_rabbitmq

        return own_rabbitmq(backend.broker, _middleware(more))
    if isinstance(backend.broker, SqsBroker):
        from .own_sqs import own_sqs

        return own_sqs(backend.place, backend.broker, _middleware(more))
    return RedisBroker(  # type: ignore[no-untyped-call]
        url=backend.place.broker_url,
        middleware=_middleware(more),
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
    )


def sender(backend: DramatiqBackend, *more: Middleware) -> Broker:
    """Return Dramatiq's broker for our children: only what its own pipelines and callbacks send goes through it."""
    broker = backend.broker
    if isinstance(broker, SqsBroker):
        return Later(lambda: own_broker(backend, *more), _middleware(more))
    if not isinstance(broker, RabbitBroker):
        return own_broker(backend, *more)

    def send(name: str, raw: bytes, priority: Any) -> None:
        broker.publisher.publish([Parcel(name, raw, {"delivery_mode": 2, "priority": priority})])

    return Sender(send, _middleware(more))


class Later(Broker):
    """A broker in one of our children: actors and middleware now, Dramatiq's transport when a task sends by it.

    Args:
        transport: makes it; it reads much, and asks for keys at once.
        middleware: all there is.
    """

    def __init__(self, transport: Callable[[], Broker], middleware: list[Middleware]) -> None:
        super().__init__(middleware=middleware)
        self._make = transport
        self._transport: Broker | None = None

    def declare_queue(self, queue_name: str) -> None:
        self.queues.setdefault(queue_name, None)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        if self._transport is None:
            self._transport = self._make()
        self._transport.declare_queue(message.queue_name)
        return self._transport.enqueue(message, delay=delay)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Sender(Broker):
    """Sends Dramatiq's messages by our own publisher; nothing is taken from it.

    Args:
        send: takes a queue's name, a message and its priority; returns when the broker has it.
        middleware: all there is.
    """

    def __init__(self, send: Callable[[str, bytes, Any], None], middleware: list[Middleware]) -> None:
        super().__init__(middleware=middleware)
        self.queues: set[str] = set()
        self._send = send

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        if delay is not None:
            eta = {"eta": current_millis() + delay}
            message = message.copy(queue_name=dq_name(message.queue_name), options=eta)
        self.emit_before("enqueue", message, delay)
        try:
            self._send(message.queue_name, message.encode(), message.options.get("broker_priority"))
        except BrokerUnavailable as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        self.emit_after("enqueue", message, delay)
        return message


def _middleware(more: Sequence[Middleware]) -> list[Middleware]:
    return [CurrentMessage(), Callbacks(), Pipelines(), *more]
