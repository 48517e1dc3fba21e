"""A producer that knows nothing of taskbridge: puts numbers into an engine's own queue by the engine's own client.

ARGV: the engine, the broker's URL, the first number, how many, how long the longest delay is (s), the file of its
notes: a line for each number, when it is due (unix ms), and ``never`` for one that has expired before anybody can
begin it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

QUEUE, TASK = "faults", "tests.faults.tasks.once"

#: Of so many numbers one has expired, one expires much later, and so many have a delay.
ROUND, DELAYED = 10, 4


def celery(url: str) -> Callable[[int, float, float], None]:
    """Celery's messages, with every priority that it has on Redis."""
    from celery import Celery

    app = Celery("native", broker=url)
    app.conf.task_create_missing_queues = True

    def send(n: int, delay_s: float, expires_s: float) -> None:
        more = {"countdown": delay_s} if delay_s else {}
        more |= {"expires": expires_s} if expires_s else {}
        app.send_task(TASK, (n, 0.0), queue=QUEUE, priority=n % 10, retries=n % 3, **more)

    return send


def dramatiq(url: str) -> Callable[[int, float, float], None]:
    """Dramatiq's messages; a delayed one lies in a queue of its own."""
    from dramatiq import Message
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=url)
    broker.declare_queue(QUEUE)

    def send(n: int, delay_s: float, expires_s: float) -> None:
        options = {"max_age": expires_s * 1000} if expires_s else {}
        options |= {"retries": n % 3} if n % 3 else {}
        message = Message(queue_name=QUEUE, actor_name=TASK, args=(n, 0.0), kwargs={}, options=options)
        broker.enqueue(message, delay=round(delay_s * 1000) if delay_s else None)

    return send


def main(engine: str, url: str, first: str, count: str, longest_s: str, notes: str) -> None:
    """Send."""
    send = {"celery": celery, "dramatiq": dramatiq}[engine](url)
    with Path(notes).open("w") as file:
        for n in range(int(first), int(first) + int(count)):
            place = n % ROUND
            delay_s = float(longest_s) * (1 + n % 7) / 7 if place < DELAYED else 0.0
            expires_s = 0.001 if place == DELAYED else 3600.0 if place == DELAYED + 1 else 0.0
            due_ms = time.time_ns() // 1_000_000 + round(delay_s * 1000)  # the engine's own word is a little later
            send(n, delay_s, expires_s)
            file.write(f"{n} {due_ms} {'never' if place == DELAYED else 'once'}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
