"""An engine in this process: queues in memory, no hooks. For tests, and for ``TASKBRIDGE_BACKEND=memory``.

Messages travel encoded, as on any engine. Run what waits with ``taskbridge.testing.Worker``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from ..backend import Capabilities, Consumer, Delivery, Keeper, Level, Place, Runner
from ..definition import Definitions
from ..errors import DecodeError, NotSupported
from ..leftovers import Leftovers
from ..message import Message, decode, encode
from ..native import EMPTY, Inventory
from ..options import BAND_SUFFIXES, band
from ..outcome import Outcome
from ..store import Store

#: Behind a list's name: what has waited already, and is fetched before what is in the list.
FRONT = " front"


class MemoryBackend:
    """Queues of one process, gone with it."""

    engine = "memory"
    capabilities = own_command = Capabilities(
        processes=False, native_producers=False, rests=False, soft_timeout=False, hard_timeout=False
    )

    def __init__(self, place: Place) -> None:
        self.name = place.name
        self._lists: dict[str, deque[bytes]] = {}
        self._changed = threading.Condition()

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        with self._changed:
            for message in messages:
                self._list(message.queue + band(message.priority) + front * FRONT).append(encode(message))
            self._changed.notify_all()

    def push(self, queue: str, raw: bytes) -> None:
        """Put bytes into a queue, whatever they are."""
        with self._changed:
            self._list(queue).append(raw)
            self._changed.notify_all()

    def depth(self, queue: str) -> int:
        return sum(len(self._list(queue + suffix + part)) for suffix in BAND_SUFFIXES for part in (FRONT, ""))

    def levels(self, queues: Sequence[str]) -> list[Level]:
        return [Level(waiting=self.depth(queue), since_ms=self._since_ms(queue)) for queue in queues]

    def scan(self, queue: str, limit: int) -> Iterator[Message]:
        for suffix in BAND_SUFFIXES:
            for raw in [*self._list(queue + suffix + FRONT), *self._list(queue + suffix)][:limit]:
                try:
                    yield decode(raw)
                except DecodeError:
                    continue

    def doubts(self, queues: Sequence[str]) -> list[str]:
        return []

    def consumer(self, queues: Sequence[str], owner: str, store: Store) -> Consumer:
        return MemoryConsumer(self, queues)

    def keeper(self, queues: Sequence[str]) -> Keeper:
        return MemoryKeeper(self, queues)

    def leftovers(self, queues: Sequence[str], owner: str, store: Store, visibility_s: float | None) -> Leftovers:
        raise NotSupported(f"the backend {self.name!r} lives in one process: nothing of it can be seen from another")

    def runner(self, definitions: Definitions) -> Runner:
        return PlainRunner()

    def inventory(self) -> Inventory:
        return EMPTY

    def close(self) -> None:
        self._lists.clear()

    def wait(self, queues: Sequence[str], timeout_s: float) -> bool:
        """Wait until one of the queues has a message, at most so long."""
        with self._changed:
            return self._changed.wait_for(lambda: any(map(self.depth, queues)), timeout_s)

    def take(self, name: str) -> bytes | None:
        """Take the first message of a list, a queue's name and a band's suffix."""
        with self._changed:
            waiting = self._list(name + FRONT) or self._list(name)
            return waiting.popleft() if waiting else None

    def put_back(self, name: str, raw: bytes) -> None:
        """Put a message back to the front."""
        with self._changed:
            self._list(name + FRONT).appendleft(raw)

    def _since_ms(self, queue: str) -> int:
        firsts = [self._list(queue + suffix + part) for suffix in BAND_SUFFIXES for part in (FRONT, "")]
        found = []
        with self._changed:
            for raw in [waiting[0] for waiting in firsts if waiting]:
                with suppress(DecodeError):
                    found.append(decode(raw).ready_at_ms)
        return min(filter(None, found), default=0)

    def _list(self, name: str) -> deque[bytes]:
        return self._lists.setdefault(name, deque())


class MemoryConsumer:
    """Takes messages of some queues, bands in order, queues in turn."""

    ears: Sequence[int] = ()

    def __init__(self, backend: MemoryBackend, queues: Sequence[str]) -> None:
        self.more = False
        self._backend = backend
        self._queues = deque(queues)
        self._tag = 0

    def serve(self, queues: Sequence[str]) -> None:
        self._queues = deque(queues)

    def fetch(self, limit: int) -> list[Delivery]:
        self._queues.rotate(-1)
        taken: list[Delivery] = []
        for suffix in BAND_SUFFIXES:
            for queue in self._queues:
                while len(taken) < limit and (raw := self._backend.take(queue + suffix)) is not None:
                    taken.append(self._delivery(queue + suffix, raw))
        self.more = any(self._backend.depth(queue) for queue in self._queues)
        return taken

    def acknowledge(self, delivery: Delivery) -> None:
        """Nothing is kept of what was taken."""

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in reversed(deliveries):
            self._backend.put_back(delivery.queue, delivery.raw)

    def _delivery(self, name: str, raw: bytes) -> Delivery:
        self._tag += 1
        delivery = Delivery(tag=str(self._tag), queue=name, raw=raw)
        try:
            delivery.message = decode(raw)
        except DecodeError as error:
            delivery.problem = str(error)
        return delivery


class MemoryKeeper:
    """There is nothing to keep: what a thread held is gone with the process."""

    def __init__(self, backend: MemoryBackend, queues: Sequence[str]) -> None:
        self._backend = backend
        self._queues = queues

    def beat(self, owners: Sequence[str]) -> None:
        """Threads do not die alone."""

    def reclaim(self, owner: str, *, keep: Sequence[str] = (), done: Sequence[str] = ()) -> int:
        return 0

    def sweep(self) -> int:
        return 0

    def watch(self, ring: Callable[[], None], stopping: threading.Event) -> None:
        while not stopping.is_set():
            if self._backend.wait(self._queues, 0.2):
                ring()
                stopping.wait(0.02)


class PlainRunner:
    """No engine, no hooks."""

    def start(self) -> None:
        """Nothing to send."""

    def run(self, delivery: Delivery, attempt: Callable[[], Outcome]) -> Outcome:
        return attempt()

    def stop(self) -> None:
        """Nothing to send."""
