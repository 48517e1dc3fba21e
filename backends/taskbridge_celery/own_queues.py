"""What Celery's own command needs: all parts of its queues, taken as they are; on RabbitMQ signs of life from solo."""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from taskbridge.broker import Broker
from taskbridge.clock import SystemClock
from taskbridge.errors import BrokerUnavailable
from taskbridge.rabbitmq.broker import RabbitBroker
from taskbridge.sqs.broker import SqsBroker

log = logging.getLogger("taskbridge")

#: How long a broker that is away at the start is left alone, seconds.
AWAY_S = 1.0


def read_all(app: Celery, broker: Broker) -> None:
    """Have a worker of this app read all parts of the queues that it was told to read; returns when they are there.

    On RabbitMQ Celery declares each queue, and ends its worker where one is there with another shape: so it declares
    none of them. On SQS kombu makes what it does not find, whatever the URL says: so they are there before it looks.

    Raises:
        ConfigError: a queue is not there, and may not be made.
    """
    queues = app.amqp.queues
    for queue in dict.fromkeys(broker.queue_of(name) for name in list(queues.consume_from)):
        for name in _there(broker, queue):
            undeclared = Queue(name, Exchange(""), routing_key=name, no_declare=True)
            queues.select_add(undeclared if isinstance(broker, RabbitBroker) else queues[name])
        given = app.conf.broker_transport_options.get("predefined_queues")
        if given is not None and isinstance(broker, SqsBroker):
            given |= {name: {"url": url} for name, url in broker.queues.there(queue).items()}


def _there(broker: Broker, queue: str) -> list[str]:
    while True:
        try:
            return broker.there(queue)
        except BrokerUnavailable as error:
            log.warning("%s; trying again in %.0f s", error, AWAY_S)
            SystemClock().sleep(AWAY_S)


class Beats:
    """Sends signs of life while the pool ``solo`` runs a task in the thread that should send them.

    Args:
        consumer: Celery's.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def start(self, stopping: threading.Event) -> None:
        """Begin, in a thread, until the worker ends."""
        threading.Thread(target=self._beat, args=(stopping,), name="heartbeats", daemon=True).start()

    def _beat(self, stopping: threading.Event) -> None:
        while True:
            connection = getattr(self._consumer.connection, "connection", None)  # py-amqp's
            every_s = (getattr(connection, "heartbeat", 0) or 30) / 3
            if stopping.wait(every_s):
                return
            try:
                if connection is not None and connection.heartbeat:
                    connection.send_heartbeat()
            except (OSError, AttributeError, TypeError) as error:  # it is being closed, and Celery makes another
                log.debug("no sign of life was sent: %s", error)
