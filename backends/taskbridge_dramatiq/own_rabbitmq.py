"""Dramatiq's own RabbitMQ broker, for its own command: the only importer of pika.

It is set up as its users should: confirmed, bounded waits, and queues taken as they are.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Middleware

from taskbridge.errors import BrokerUnavailable
from taskbridge.rabbitmq.address import Address
from taskbridge.rabbitmq.broker import RabbitBroker

from . import wire

#: How long a broker that is short of memory or disk may keep a publisher waiting, seconds.
BLOCKED_S = 30


def own_rabbitmq(broker: RabbitBroker, middleware: Sequence[Middleware]) -> OwnRabbitmqBroker:
    """Return a broker of Dramatiq's at the same place."""
    return OwnRabbitmqBroker(broker, middleware)


class OwnRabbitmqBroker(RabbitmqBroker):
    """A queue that is there is taken as it is; a missing one is made as Dramatiq makes it, or as the URL says.

    Args:
        broker: our own, which makes queues.
        middleware: all there is.
    """

    def __init__(self, broker: RabbitBroker, middleware: Sequence[Middleware]) -> None:
        super().__init__(confirm_delivery=True, middleware=list(middleware), **_parameters(broker.address))
        self._broker = broker

    def _ensure_queue(self, canonical_queue_name: str) -> None:
        """Dramatiq declares each queue, and a shape that differs would keep its consumer from starting for ever."""
        if canonical_queue_name in self.queues_pending:
            names = (canonical_queue_name, canonical_queue_name + wire.DELAYED)
            queues = [queue for name in names for queue in self._broker.shape(name)]
            try:
                self._broker.publisher.ask(lambda line: line.connection.make(queues))
            except BrokerUnavailable as error:
                raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
            self.queues_pending.discard(canonical_queue_name)


def _parameters(address: Address) -> dict[str, Any]:
    tls = dict(address.tls) if address.tls is not None else None
    return {
        "host": address.host,
        "port": address.port,
        "virtual_host": address.vhost,
        "credentials": pika.PlainCredentials(address.user, address.password),
        "heartbeat": int(address.heartbeat_s),
        "blocked_connection_timeout": BLOCKED_S,
        "socket_timeout": address.timeout_s,
        "ssl_options": pika.SSLOptions(_context(tls), address.host) if tls is not None else None,
    }


def _context(tls: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.get("ca_certs"))
    if "certfile" in tls:
        context.load_cert_chain(tls["certfile"], tls.get("keyfile"))
    return context
