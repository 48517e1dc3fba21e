"""Celery's messages and queues on RabbitMQ, as kombu's ``pyamqp`` transport writes and reads them.

Our own words travel in one header as JSON text: a table knows neither all integers nor all keys that JSON has.
Source: kombu 5.7 ``transport/pyamqp.py``, celery 5.7 ``app/amqp.py``; written down from RabbitMQ 3.10.8.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from taskbridge.backend import Delivery
from taskbridge.errors import DecodeError
from taskbridge.leftovers import Leftover
from taskbridge.message import Message
from taskbridge.rabbitmq.queues import Parcel, Queue
from taskbridge.rabbitmq.table import fitting, short
from taskbridge.wire import ours

from . import wire

if TYPE_CHECKING:
    from taskbridge.rabbitmq.content import Content


class CeleryDialect:
    """Durable queues without arguments; Celery's names are the plain ones."""

    suffix = ""
    others: Sequence[str] = ("-dramatiq",)
    last: Sequence[str] = ()

    def shape(self, name: str, more: Mapping[str, Any]) -> list[Queue]:
        return [Queue(name, more)]

    def encode(self, message: Message, name: str, *, front: bool) -> Parcel:
        found = wire.parts(message, msgspec.json.encode(ours(message, front=front)).decode())
        properties = {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "delivery_mode": 2,
            "priority": 0,
            "correlation_id": short(found.id),
            "reply_to": short(found.reply_to),
            "application_headers": fitting(found.headers) if message.engine == "celery" else found.headers,
        }
        return Parcel(name, found.body, properties)

    def decode(self, delivery: Delivery, content: Content) -> None:
        try:
            read = wire.read(lambda: _envelope(content, delivery.queue), delivery.queue, content.body)
        except DecodeError as error:
            if b'"actor_name"' in content.body:
                raise DecodeError(f"a message of Dramatiq's in a queue of Celery's; {error}") from None
            raise
        delivery.message, delivery.envelope = read

    def describe(self, one: Leftover, delivery: Delivery) -> None:
        if delivery.message is not None:
            wire.describe(one, delivery.message, delivery.envelope, delivery.message.priority)
        else:
            one.task = wire.task_of(delivery.raw)


def _envelope(content: Content, queue: str) -> wire.Envelope:
    properties = content.properties()
    headers = properties.pop("application_headers", None) or {}
    packed = bool(headers.get("compression"))
    return wire.Envelope(
        body=(base64.b64encode(content.body) if packed else content.body).decode(),
        headers=headers,
        properties={
            "delivery_info": {"exchange": "", "routing_key": queue},
            "correlation_id": properties.get("correlation_id"),
            "reply_to": properties.get("reply_to", ""),
            **({"body_encoding": "base64"} if packed else {}),
        },
        content_type=properties.get("content_type", ""),
        content_encoding=properties.get("content_encoding", ""),
    )
