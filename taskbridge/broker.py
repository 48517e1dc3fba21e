"""Brokers: where an engine keeps its queues, and all that a backend does by its broker alone.

The scheme of the URL says which kind it is. How an engine's messages look on each kind is the engine's to say: a table
of ``Kind``, in its ``brokers.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from .backend import Capabilities, Consumer, Keeper, Level, Place
from .config import BROKERS
from .errors import ConfigError
from .leftovers import Leftovers
from .message import Message
from .redis.url import redacted, scheme
from .store import Store


class Broker(Protocol):
    """One engine's queues on one broker; each verb as ``Backend`` has it."""

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None: ...
    def depth(self, queue: str) -> int: ...
    def levels(self, queues: Sequence[str]) -> list[Level]: ...
    def scan(self, queue: str, limit: int) -> Iterator[Message]: ...
    def doubts(self, queues: Sequence[str]) -> list[str]: ...
    def consumer(self, queues: Sequence[str], owner: str, store: Store) -> Consumer: ...
    def keeper(self, queues: Sequence[str]) -> Keeper: ...
    def leftovers(self, queues: Sequence[str], owner: str, store: Store, visibility_s: float | None) -> Leftovers: ...
    def close(self) -> None: ...

    def queue_of(self, name: str) -> str:
        """Return which of our queues something that the engine calls so belongs to."""

    def there(self, queue: str) -> list[str]:
        """Return the engine's names of the parts of a queue that can be read, made where they are missing.

        Raises:
            ConfigError: the queue itself is not there, and may not be made.
            BrokerUnavailable: no answer.
        """

    def remove(self, queues: Sequence[str]) -> None:
        """Delete these queues with all that is in them, and what workers had fetched from any: nobody uses them now.

        Raises:
            BrokerUnavailable: no answer; some may be gone.
        """

    def ping(self) -> None:
        """Ask whether it is there.

        Raises:
            BrokerUnavailable: it is not.
        """


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """An engine on a kind of broker.

    Args:
        connect: returns its queues there; opens nothing.
        capabilities: what it keeps under our worker.
        own_command: what it keeps under the engine's own command.
        own_ping_s: how often the engine's own command is to ask whether the broker is there, seconds, for it would stay
            deaf; 0 is never.
    """

    connect: Callable[[Place], Broker]
    capabilities: Capabilities
    own_command: Capabilities
    own_ping_s: float = 0.0


def told(kept: Capabilities, broker: Broker) -> Capabilities:
    """Return what is kept with what a broker's URL says of it: how long it is patient, and that order may be lost."""
    patience_s: float = getattr(broker, "patience_s", kept.patience_s)
    ordered = kept.ordered and getattr(broker, "ordered", True)
    return msgspec.structs.replace(kept, patience_s=patience_s, ordered=ordered)


class OnBroker:
    """A backend but for its engine: that adds its name and its runner.

    Args:
        place: its name, its broker's URL, and the namespace of our own keys.
        kinds: the kinds of broker that the engine can stand on.

    Raises:
        ConfigError: the URL is of none of them.
    """

    def __init__(self, place: Place, kinds: Mapping[str, Kind]) -> None:
        kind = kinds.get(BROKERS.get(scheme(place.broker_url), ""))
        if kind is None:
            known = ", ".join(f"{name}://" for name, of in BROKERS.items() if of in kinds)
            raise ConfigError(
                f"backend {place.name!r}: expected a broker URL of {known}, got {redacted(place.broker_url)!r}"
            )
        self.name = place.name
        self.place = place
        self.broker = kind.connect(place)
        self.capabilities = told(kind.capabilities, self.broker)
        self.own_command = told(kind.own_command, self.broker)
        self.own_ping_s = kind.own_ping_s

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        self.broker.publish(messages, kept=kept, front=front)

    def depth(self, queue: str) -> int:
        return self.broker.depth(queue)

    def levels(self, queues: Sequence[str]) -> list[Level]:
        return self.broker.levels(queues)

    def scan(self, queue: str, limit: int) -> Iterator[Message]:
        return self.broker.scan(queue, limit)

    def doubts(self, queues: Sequence[str]) -> list[str]:
        return self.broker.doubts(queues)

    def consumer(self, queues: Sequence[str], owner: str, store: Store) -> Consumer:
        return self.broker.consumer(queues, owner, store)

    def keeper(self, queues: Sequence[str]) -> Keeper:
        return self.broker.keeper(queues)

    def leftovers(self, queues: Sequence[str], owner: str, store: Store, visibility_s: float | None) -> Leftovers:
        return self.broker.leftovers(queues, owner, store, visibility_s)

    def close(self) -> None:
        self.broker.close()
