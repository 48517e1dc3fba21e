"""The benchmark's tasks as plain Dramatiq has them: its defaults."""

from __future__ import annotations

import json
import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker

from .started import write_down

URL = os.environ["TASKBRIDGE_BROKER_URL"]
ON_RABBITMQ = URL.startswith("amqp")
QUEUE = "bench-dramatiq" if ON_RABBITMQ else "bench"

if "BENCH_SQS" in os.environ:
    from dramatiq_sqs import SQSBroker

    dramatiq.set_broker(SQSBroker(**json.loads(os.environ["BENCH_SQS"])))
else:
    dramatiq.set_broker(
        RabbitmqBroker(url=URL, confirm_delivery=True) if ON_RABBITMQ else RedisBroker(url=URL)  # type: ignore[no-untyped-call]
    )


@dramatiq.actor(actor_name="bench.noop", queue_name=QUEUE)
def noop(user_id: int, provider_id: int) -> None: ...


@dramatiq.actor(actor_name="bench.mark", queue_name=QUEUE)
def mark(sent_ns: int, path: str) -> None:
    write_down(sent_ns, path)


send_noop = noop.send
send_mark = mark.send
