"""A plain Dramatiq application that knows nothing of taskbridge."""

from __future__ import annotations

import json
import os

import dramatiq

URL = os.environ["TASKBRIDGE_BROKER_URL"]
ON_RABBITMQ = URL.startswith("amqp")

if "NATIVE_TRANSPORT" in os.environ:
    from dramatiq_sqs import SQSBroker

    dramatiq.set_broker(SQSBroker(**json.loads(os.environ["NATIVE_TRANSPORT"])))
elif ON_RABBITMQ:
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    dramatiq.set_broker(RabbitmqBroker(url=URL, confirm_delivery=True))
else:
    from dramatiq.brokers.redis import RedisBroker

    dramatiq.set_broker(RedisBroker(url=URL))


@dramatiq.actor(
    actor_name="legacy.add", queue_name=os.environ.get("NATIVE_QUEUE", "legacy-dramatiq" if ON_RABBITMQ else "legacy")
)
def add(a: int, b: int = 0) -> None:
    """Write the sum down."""
    with open(os.environ["BACKEND_SUITE_NOTES"], "a") as file:
        file.write(f"dramatiq {a + b}\n")
