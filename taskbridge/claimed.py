"""A delivery that a worker may run, and who ends it when it takes too long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from . import events
from .backend import Delivery
from .message import Message
from .options import NO_TIMEOUTS, Timeouts
from .outcome import Outcome
from .policies.timeout import Overdue
from .runtime import Runtime
from .store import Begun
from .store.flow import Next
from .store.shadows import Told


class Watch(Protocol):
    """Who ends this process at a hard timeout, and tells the store then what that leads to."""

    def limit(self, deadline_s: float, overdue: Overdue) -> None:
        """From now until ``unlimit``; ``deadline_s`` is monotonic seconds."""

    def unlimit(self) -> None:
        """The task has left."""


@dataclass(slots=True, kw_only=True)
class Claimed:
    """A delivery that is this worker's to run; without a ``watch`` nobody keeps a hard timeout.

    ``stopping`` says whether the worker is asked to stop, where it knows; ``next`` is what a chunk came to.
    ``told`` is how its body was left, of a message that is compared with another. ``unknown`` are the keyword arguments
    that its task does not have; None while nobody has looked.
    """

    delivery: Delivery
    message: Message
    claim: str
    backend: str
    begun: Begun
    watch: Watch | None = None
    stopping: Callable[[], bool] | None = None
    timeouts: Timeouts = NO_TIMEOUTS
    outcome: Outcome | None = None
    next: Next | None = None
    ran_ms: float = 0.0
    told: Told | None = None
    unknown: tuple[str, ...] | None = None

    def event(self, kind: Callable[..., events.Event], **more: Any) -> events.Event:
        """Return an event about this message."""
        message = self.message
        attempt = self.begun.attempt
        return kind(
            id=message.id, task=message.task, queue=message.queue, backend=self.backend, attempt=attempt, **more
        )


def early_ms(message: Message, runtime: Runtime) -> int:
    """How long until a native producer's delay is over; ours waited in the store."""
    return message.due_at_ms - runtime.clock.now_ms() if message.engine and not message.released_at_ms else 0
