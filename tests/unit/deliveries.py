"""A worker without its loop: what becomes of one delivery after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from taskbridge import Backoff, Bridge, Task
from taskbridge.backend import Delivery
from taskbridge.events import Event, Received
from taskbridge.execution import deliver
from taskbridge.message import Message, decode
from taskbridge.outcome import Outcome
from taskbridge.store import Record
from taskbridge.testing import FakeClock

#: Retries at once, so that waits need no patience.
AT_ONCE = Backoff(max_retries=2, base=0, cap=0)


@dataclass
class Stage:
    """A bridge on a fake clock, and what a worker does with a delivery; ``heard`` is what listeners were told,
    but that a copy was received, which they are told of each."""

    bridge: Bridge
    clock: FakeClock
    heard: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bridge.events.subscribe(lambda event: None if isinstance(event, Received) else self.heard.append(event))

    def run(self, message: Message, claim: str = "c") -> Outcome | None:
        """Deliver a message; returns what became of it."""
        delivery = Delivery(tag="1", queue=message.queue, raw=b"", message=message)
        return deliver(delivery, message, claim, "memory", self.bridge.runtime).outcome

    def look(self, message: Message) -> Record:
        record = self.bridge.store.messages.look(message.id)
        assert record is not None
        return record

    def copy(self, message: Message) -> Message:
        """The copy that the relay would publish next."""
        (due,) = self.bridge.store.outbox.take(10)
        assert message.id == due.id
        return decode(due.body).copy(seq=due.seq, attempt=due.attempt)

    def told(self) -> list[str]:
        return [type(event).__name__ for event in self.heard]


def raising(stage: Stage, error: BaseException, **options: Any) -> Task[..., None]:
    """A task that fails with this."""

    def fail(page: int = 1, *, size: int = 10) -> None:
        raise error

    return stage.bridge.task(name="tests.send", **{"retry": AT_ONCE, **options})(fail)
