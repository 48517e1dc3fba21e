"""How Dramatiq's queues look on each broker, and what each broker does unaided."""

from __future__ import annotations

from taskbridge.backend import Capabilities, Delivery

from . import wire

#: Prefix of every key of Dramatiq's Redis broker. Source: dramatiq/brokers/redis.py, ``namespace``.
NAMESPACE = "dramatiq"

#: Under our worker.
CAPABILITIES = {"redis": Capabilities()}

#: Under Dramatiq's own command. It has a consumer per queue, in no order; bytes that it cannot read strand what it
#: fetched with them until it restarts; a silent worker is found by the commands of others
#: (``worker.MAINTENANCE_CHANCE``); its tasks run in threads, where a signal raises nothing.
#: Source: dramatiq 2.2 worker.py and brokers/redis.py.
OWN_COMMAND = {
    "redis": Capabilities(bands=False, poison=False, soft_timeout=False, hard_timeout=False, recovery_s=60.0)
}


class RedisLayout:
    """A list of ids per queue, pushed at the right and popped at the left, and a hash of messages beside it.

    The list of native delayed messages is read in the low band: what is not due yet waits in the store.
    """

    package = "taskbridge_dramatiq"

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def bands(self, queue: str) -> tuple[list[str], list[str], list[str]]:
        name = f"{NAMESPACE}:{self._prefix}{queue}"
        return [f"{name}-high"], [name], [f"{name}-low", name + wire.DELAYED]

    def name_of(self, queue: str, band: str) -> str:
        """Return Dramatiq's name of the queue that carries a band of a queue."""
        return f"{self._prefix}{queue}{band}"

    def list_of(self, name: str) -> str:
        """Return the list of one of Dramatiq's queues."""
        return f"{NAMESPACE}:{name}"

    def queue_of(self, list_name: str) -> str:
        """Return the queue that a list belongs to."""
        name = list_name.removeprefix(f"{NAMESPACE}:").removesuffix(wire.DELAYED).removeprefix(self._prefix)
        return name.removesuffix("-high").removesuffix("-low")

    def decode(self, delivery: Delivery) -> None:
        delivery.message, delivery.envelope = wire.decode(delivery.raw, delivery.queue)
