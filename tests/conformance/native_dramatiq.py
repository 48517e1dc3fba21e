"""A plain Dramatiq application that knows nothing of taskbridge."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker

URL = os.environ["TASKBRIDGE_BROKER_URL"]
ON_RABBITMQ = URL.startswith("amqp")

dramatiq.set_broker(RabbitmqBroker(url=URL, confirm_delivery=True) if ON_RABBITMQ else RedisBroker(url=URL))


@dramatiq.actor(actor_name="legacy.add", queue_name="legacy-dramatiq" if ON_RABBITMQ else "legacy")
def add(a: int, b: int = 0) -> None:
    """Write the sum down."""
    with open(os.environ["BACKEND_SUITE_NOTES"], "a") as file:
        file.write(f"dramatiq {a + b}\n")
