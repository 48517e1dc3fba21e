"""A child without its process: the loop on a store and an engine in memory that fail as told."""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from taskbridge import Backoff, Bridge, Settings, current
from taskbridge.backend import Delivery
from taskbridge.errors import BrokerUnavailable, StoreUnavailable, TaskbridgeError
from taskbridge.events import Event
from taskbridge.message import Message
from taskbridge.store import Begin, Begun, Finish, Held
from taskbridge.store.memory.claims import MemoryClaims
from taskbridge.testing import a_message
from taskbridge.testing.memory_backend import MemoryBackend, MemoryConsumer, PlainRunner
from taskbridge.worker.loop import Loop, Source
from taskbridge.worker.slots import SLOT_SIZE, Slot

from ..conftest import BridgeClock

T = TypeVar("T")

#: How a trip to the store fails: the request never came, or it was done and the reply was lost.
LOST = ("", "request", "reply")


class FlakyClaims(MemoryClaims):
    """Fails as told, and writes down what it was asked and what was told for good."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.bridge.store.claims._records)
        self.stage = stage
        self.fails: deque[str] = deque()

    def begin(self, request: Begin) -> Begun:
        return self._trip([("begin", request.claim)], lambda: MemoryClaims.begin(self, request))

    def finish(self, request: Finish) -> str:
        return self._trip([("finish", request.claim)], lambda: MemoryClaims.finish(self, request))

    def finish_and_begin(self, finish: Finish, begin: Begin) -> tuple[str, Begun]:
        return self._trip(
            [("finish", finish.claim), ("begin", begin.claim)],
            lambda: (MemoryClaims.finish(self, finish), MemoryClaims.begin(self, begin)),
        )

    def _trip(self, asked: list[tuple[str, str]], call: Callable[[], T]) -> T:
        self.stage.trips.append(asked)
        shown = {running.claim for running in self.stage.slot.running()}
        assert {claim for _, claim in asked} <= shown, "a claim is shown from before begin until after finish"
        lost = self.fails.popleft() if self.fails else ""
        if lost == "request":
            raise StoreUnavailable("the request was lost")
        answer = call()
        if lost == "reply":
            raise StoreUnavailable("the reply was lost")
        self.stage.journal += [(f"{verb} answered", claim.rpartition(":")[2]) for verb, claim in asked]
        return answer


class Consumer(MemoryConsumer):
    """Writes down what is acknowledged and given back; away as told."""

    def __init__(self, stage: Stage, backend: MemoryBackend) -> None:
        super().__init__(backend, ["mail"])
        self.stage = stage
        self.away = 0
        self.how: type[TaskbridgeError] = BrokerUnavailable
        self.held: Held | None = None

    def fetch(self, limit: int) -> list[Delivery]:
        self.stage.limits.append(limit)
        self._raise_if_away()
        deliveries = super().fetch(limit)
        for delivery in deliveries:
            delivery.held = self.held
        return deliveries

    def acknowledge(self, delivery: Delivery) -> None:
        self.stage.journal.append(("acknowledged", delivery.tag))
        self._raise_if_away()

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        self.stage.journal += [("given back", delivery.tag) for delivery in deliveries]
        self._raise_if_away()
        super().give_back(deliveries)

    def _raise_if_away(self) -> None:
        if self.away:
            self.away -= 1
            raise self.how("away")


class Stage:
    """A child's loop on a store and an engine in memory, and what it did."""

    def __init__(self, bridge: Bridge, clock: BridgeClock) -> None:
        self.bridge, self.clock = bridge, clock
        self.journal: list[tuple[str, str]] = []
        self.trips: list[list[tuple[str, str]]] = []
        self.limits: list[int] = []
        self.waits: list[float] = []
        self.rings = 0
        self.heard: list[Event] = []
        bridge.events.subscribe(self.heard.append)
        self.slot = Slot(mmap.mmap(-1, SLOT_SIZE), 0)
        self.backend: Any = bridge.backend("memory")
        self.claims = FlakyClaims(self)
        bridge.store.claims = self.claims  # type: ignore[misc]
        self.consumer = Consumer(self, self.backend)
        self.runner = PlainRunner()
        self.loop = self.a_loop(Source(backend="memory", consumer=self.consumer, runner=self.runner))

    def a_loop(self, *sources: Source, **more: Any) -> Loop:
        return Loop("child", sources, self.bridge.runtime, self.slot, self.wait, self.ring, **more)

    def wait(self, timeout_s: float, ears: Sequence[int]) -> None:
        self.waits.append(timeout_s)
        self.clock.advance(timeout_s)

    def ring(self) -> None:
        self.rings += 1

    def publish(self, count: int, **changes: Any) -> list[Message]:
        messages = [a_message(**changes) for _ in range(count)]
        self.backend.publish(messages)
        return messages

    def serve(self) -> int:
        """Step until there is nothing; returns how many were served."""
        served = 0
        while self.loop.step():
            served += 1
        return served

    def states(self, messages: Iterable[Message]) -> list[str]:
        records = [self.bridge.store.messages.look(message.id) for message in messages]
        return [record.state if record else "" for record in records]


def a_task(stage: Stage) -> list[str]:
    """Declare a task that only notes that it ran; returns the notes."""
    ran: list[str] = []
    stage.bridge.task(name="tests.send", retry=Backoff(base=0, cap=0))(lambda: ran.append(current().id))
    return ran


def a_stage() -> Stage:
    """A new one, for each example of a law."""
    clock, bridge = BridgeClock(), Bridge(Settings(backend="memory"))
    bridge.clock = clock
    return Stage(bridge, clock)
