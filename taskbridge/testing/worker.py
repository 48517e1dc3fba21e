"""A worker in this process, for tests: the loop and the relay of a real one, without processes.

::

    with Worker(bridge):            # in threads, until the block is left
        receipt = report.enqueue(7)
        ...
    Worker(bridge).run_pending()    # here and now: all that is due, and what it leads to

A hard timeout is the supervisor's, and a soft one is kept in the main thread only: by ``run_pending``.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self

import msgspec

from ..alarm import can_ring
from ..backend import Backend, Capabilities
from ..bridge import Bridge
from ..errors import ConfigError
from ..policies.timeout import refuse_tasks
from ..relay import relay_of
from ..schedules.declared import declarer_of
from ..worker.loop import Loop, Source
from ..worker.slots import SLOT_SIZE, Slot
from .memory_backend import MemoryBackend

#: How long listeners may take to hear what was run, and brokers to take what is due, seconds: a test has time, and its
#: machine may be busy.
HEARD_S = TAKEN_S = 10.0


class Worker:
    """Runs a bridge's tasks in this process.

    Args:
        bridge: whose tasks.
        queues: which queues. Defaults to those of its tasks.
        timeouts: ``keep`` refuses tasks whose timeouts cannot be kept here; ``ignore`` runs them without. Defaults to
            ``keep``.

    Raises:
        NotSupported: when it begins: a task has a timeout that is not kept here.
    """

    def __init__(
        self, bridge: Bridge, queues: list[str] | None = None, *, timeouts: Literal["keep", "ignore"] = "keep"
    ) -> None:
        if timeouts not in ("keep", "ignore"):
            raise ConfigError(f"timeouts: expected keep or ignore, got {timeouts!r}")
        self._bridge = bridge
        self._keeps_timeouts = timeouts == "keep"
        runtime = msgspec.structs.replace(bridge.runtime, enforced=self._keeps_timeouts)
        self._queues = queues or sorted({one.options.queue for one in bridge.definitions.values()})
        self._backend: Backend = bridge.backend(bridge.settings.backend)
        consumer = self._backend.consumer(self._queues, "here", bridge.store)
        source = Source(backend=self._backend.name, consumer=consumer, runner=self._backend.runner(bridge.definitions))
        slot = Slot(mmap.mmap(-1, SLOT_SIZE), 0)
        self._loop = Loop("here", [source], runtime, slot, self._wait, lambda: None)
        self._relay = relay_of(bridge.sender, "here", patience_s=TAKEN_S)
        self._declarer = declarer_of(bridge.definitions, bridge.sender)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop.run, name="loop"),
            threading.Thread(target=self._relay.run, args=(self._stopping,), name="relay"),
            threading.Thread(target=self._declarer.keep_on, args=(self._stopping,), name="schedules"),
        ]

    def run_pending(self) -> int:
        """Run all that is due now, and what that makes due; returns how many messages were served.

        Those who subscribed have heard of all of it then, unless that takes them longer than ten seconds.
        """
        self._refuse_timeouts(soft=can_ring())
        self._bridge.hooks.start()
        self._declarer()
        served = 0
        while True:
            moved = self._relay.tick() if self._relay.lead() else 0
            before = served
            while self._loop.step():
                served += 1
            if not moved and served == before:
                self._bridge.subscribers.flush(HEARD_S)
                return served

    def __enter__(self) -> Self:
        self._refuse_timeouts(soft=False)
        self._bridge.hooks.start()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._loop.stopping = True
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._bridge.subscribers.flush(HEARD_S)

    def _refuse_timeouts(self, *, soft: bool) -> None:
        if self._keeps_timeouts:
            kept = Capabilities(soft_timeout=soft, hard_timeout=False)
            where = "taskbridge.testing.Worker (but for timeouts='ignore')"
            refuse_tasks(self._bridge.definitions, self._bridge.settings.timeouts, kept, where)

    def _wait(self, timeout_s: float, ears: Sequence[int]) -> None:
        if isinstance(self._backend, MemoryBackend):
            self._backend.wait(self._queues, min(timeout_s, 0.05))
        else:
            self._bridge.clock.sleep(0.02)
