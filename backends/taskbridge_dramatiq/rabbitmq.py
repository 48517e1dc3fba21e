"""Dramatiq's messages and queues on RabbitMQ, as its own broker writes and reads them.

Source: dramatiq 2.2 ``brokers/rabbitmq.py``; written down from RabbitMQ 3.10.8.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taskbridge.backend import Delivery
from taskbridge.errors import DecodeError
from taskbridge.leftovers import Leftover
from taskbridge.message import Message
from taskbridge.rabbitmq.queues import Parcel, Queue

from . import wire

if TYPE_CHECKING:
    from taskbridge.rabbitmq.content import Content

#: Dramatiq's own dead letters of a queue, and how long they are kept, ms; its variable is written so.
DEAD = ".XQ"
DEAD_FOR_MS = int(os.environ.get("dramatiq_dead_message_ttl") or 7 * 86_400_000)  # noqa: SIM112


class DramatiqDialect:
    """Queues whose refused messages go to dead letters of Dramatiq's own; ours end with ``-dramatiq``.

    Native delayed messages are read in the low band: what is not due yet waits in the store.
    """

    suffix = "-dramatiq"
    others: Sequence[str] = ()
    last: Sequence[str] = (wire.DELAYED,)

    def shape(self, name: str, more: Mapping[str, Any]) -> list[Queue]:
        dead = name.removesuffix(wire.DELAYED) + DEAD
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, **more}
        return [Queue(name, arguments), Queue(dead, {"x-message-ttl": DEAD_FOR_MS})]

    def encode(self, message: Message, name: str, *, front: bool) -> Parcel:
        return Parcel(name, wire.encode(message, name, front=front), {"delivery_mode": 2})

    def decode(self, delivery: Delivery, content: Content) -> None:
        try:
            delivery.message, delivery.envelope = wire.decode(content.body, delivery.queue)
        except DecodeError as error:
            if task := _celery_task(content):
                raise DecodeError(f"a message of Celery's ({task}) in a queue of Dramatiq's; {error}") from None
            raise

    def describe(self, one: Leftover, delivery: Delivery) -> None:
        if delivery.message is not None:
            wire.describe(one, delivery.message, delivery.envelope, delivery.message.priority)
        else:
            one.task = wire.task_of(delivery.raw)


def _celery_task(content: Content) -> str:
    try:
        headers = content.properties().get("application_headers") or {}
    except ValueError:
        return ""
    return str(headers["task"]) if {"task", "id", "lang"} <= headers.keys() else ""
