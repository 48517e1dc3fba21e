"""Look at all brokers at once, each in a thread of its own: one that hangs does not hold up the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from logging import Logger
from threading import Lock

from ..bridge import Bridge
from .gauges import AtBroker, InStore, at_broker, left_at_broker
from .reader import Reader
from .unserved import others

#: Who looks at a backend's broker, and what will be seen.
Asked = Mapping[str, tuple[Reader[AtBroker], Future[AtBroker]]]


class Brokers:
    """The brokers of all backends that are known. ``known`` are the queues and backends of the last answer.

    Args:
        bridge: where to look.
        queues: looked at while the store has not answered.
        log: is told of failures that are new. Defaults to nobody.
    """

    def __init__(self, bridge: Bridge, queues: Sequence[str], log: Logger | None = None) -> None:
        self.known = list(queues), bridge.settings.backend_names
        self._bridge = bridge
        self._log = log
        self._lock = Lock()
        self._readers: dict[str, Reader[AtBroker]] = {}

    def ask(self, store: InStore | None) -> Asked:
        """Begin to look at all at once, for what was known when the store last answered."""
        now_ms = store.now_ms if store else None
        with self._lock:
            self.known = queues, backends = (store.queues, store.backends) if store else self.known
            looks = dict.fromkeys(backends, at_broker) | dict.fromkeys(others(self._bridge, backends), left_at_broker)
            readers = {name: self._readers.setdefault(name, self._reader(name)) for name in looks}
        asked = {
            name: readers[name].ask(partial(look, self._bridge, name, queues, now_ms)) for name, look in looks.items()
        }
        return {name: (readers[name], future) for name, future in asked.items()}

    def close(self) -> None:
        """End the threads that look."""
        for reader in self._readers.values():
            reader.close()

    def _reader(self, name: str) -> Reader[AtBroker]:
        return Reader(f"the broker of {name}", self._log)
