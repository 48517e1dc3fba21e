"""The ground of one run: a namespace and queues of its own, refused where somebody uses them, removed at the end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from ..bridge import Bridge
from ..broker import Broker, OnBroker
from ..config import Settings
from ..errors import ConfigError, NotSupported, TaskbridgeError
from ..redis.removal import remove_keys
from ..redis.server import Server
from ..store.keys import Keys
from .processes import ComparisonFailed
from .sides import Side

#: It names queues, too, which the brokers bound to 80 letters.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,29}")


@dataclass(slots=True)
class Ground:
    """Where a run takes place. ``queues`` are those that it may have used; they are removed with it."""

    name: str
    bridge: Bridge
    broker: Broker
    store: Server
    queues: set[str] = field(default_factory=set)

    def refuse_used(self) -> None:
        """Refuse a namespace that a store knows.

        Raises:
            ConfigError: it does.
            StoreUnavailable, BrokerUnavailable: no answer.
        """
        self.broker.ping()
        if self.store.call("EXISTS", Keys(self.name).schema):
            raise ConfigError(f"the namespace {self.name!r} is in use: choose another --namespace, or leave it out")

    def take(self, queues: Iterable[str]) -> None:
        """Have these queues for the run: from now on they are removed with it.

        Raises:
            ConfigError: messages wait in one of them.
            BrokerUnavailable: no answer.
        """
        for queue in sorted(set(queues) - self.queues):
            if waiting := self.broker.depth(queue):
                raise ConfigError(
                    f"{waiting} messages wait in {self.name}-{queue}: choose another --namespace, or leave it out"
                )
            self.queues.add(queue)

    def remove(self) -> None:
        """Leave nothing behind: neither the queues nor a key of the namespace.

        Raises:
            ComparisonFailed: something may still be there.
        """
        try:
            self.broker.remove(sorted(self.queues))
            remove_keys(self.store, f"{{{self.name}}}:*")
        except TaskbridgeError as error:
            raise ComparisonFailed(f"what the run {self.name!r} has left could not be removed: {error}") from error


@contextmanager
def ground(name: str, side: Side, base: Settings) -> Iterator[Ground]:
    """Have a ground inside the block; its connections are given back at the end.

    Args:
        name: of the namespace, and of the queues in front.
        side: whose brokers.
        base: what the user's own settings say.

    Raises:
        ConfigError: no namespace or queue can be called so, or the engine does not stand on that broker.
        NotSupported: what the broker keeps could not be removed.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"--namespace: expected a word of up to 20 letters, digits, - and _, got {name!r}")
    bridge = Bridge(settings_of(name, side, base))
    store = Server(bridge.settings.effective_store_url)
    with closing(bridge), closing(store):
        backend = bridge.backend(side.engine)
        if not isinstance(backend, OnBroker):
            raise NotSupported(f"{side.name}: this backend cannot remove its queues, so nothing is begun")
        yield Ground(name, bridge, backend.broker, store)


def settings_of(name: str, side: Side, base: Settings) -> Settings:
    """Return the settings of a run: shares, schedules and observers of the user's own stay out of it."""
    return Settings(
        backend=side.engine,
        broker_url=side.broker_url,
        store_url=side.store_url,
        namespace=name,
        queue_prefix=f"{name}-",
        max_payload=base.max_payload,
        timeout=base.timeout,
        hard_timeout=base.hard_timeout,
        store_wait=base.store_wait,
        store_wait_timeout=base.store_wait_timeout,
    )
