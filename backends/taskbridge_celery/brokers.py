"""How Celery's queues look on each broker, and what each broker does unaided."""

from __future__ import annotations

from taskbridge.backend import Capabilities, Delivery

from . import wire

#: kombu appends this and a step to a queue's name for its emulated priorities; 0 is served first.
#: Source: kombu 5.7 transport/redis.py, PRIORITY_STEPS and sep.
SEPARATOR = "\x06\x16"
STEPS = (3, 6, 9)

#: Under our worker.
CAPABILITIES = {"redis": Capabilities()}

#: Under Celery's own command. It hides what it has fetched for 45 s and looks for it every two (``worker.new_app``);
#: kombu reads its queues in turn, whatever their order; bytes that are no message break its connection. Its own hard
#: limit is none while the broker is away, and leaves it open whether the attempt failed.
#: Source: kombu 5.7 transport/redis.py, ``_brpop_read`` and ``queue_order_strategy``.
OWN_COMMAND = {"redis": Capabilities(bands=False, poison=False, hard_timeout=False, recovery_s=50.0)}


class RedisLayout:
    """Lists that kombu pushes at the left and pops at the right.

    Celery's own scale on Redis is 0 first to 9 last, and 0 when unset: the steps 0 and 3 are the normal band here, 6
    and 9 the low one. Ours are queues of their own, ``q-high`` and ``q-low``.
    """

    package = "taskbridge_celery"

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def bands(self, queue: str) -> tuple[list[str], list[str], list[str]]:
        name = self._prefix + queue
        steps = [f"{name}{SEPARATOR}{step}" for step in STEPS]
        return [f"{name}-high"], [name, steps[0]], [steps[1], steps[2], f"{name}-low"]

    def list_of(self, queue: str, band: str) -> str:
        """Return the list that carries a band of a queue."""
        return f"{self._prefix}{queue}{band}"

    def queue_of(self, list_name: str) -> str:
        """Return the queue that a list belongs to."""
        name = list_name.partition(SEPARATOR)[0].removeprefix(self._prefix)
        return name.removesuffix("-high").removesuffix("-low")

    def decode(self, delivery: Delivery) -> None:
        delivery.message, delivery.envelope = wire.decode(delivery.raw, delivery.queue)
