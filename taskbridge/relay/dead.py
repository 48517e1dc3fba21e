"""Tell of messages that have ended in nobody's hands.

Lost with their workers too often, or after they were cancelled; or known to no worker that came.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from ..enqueue import Sender
from ..errors import DecodeError
from ..events import Dropped, Failed
from ..message import decode
from ..store import Record

log = logging.getLogger("taskbridge.relay")

#: What the store says of such messages; another that is dead by now has failed in a worker, which has told of it.
#: Source: ``crashed`` and ``overdue`` of store/memory, and the scripts of store/redis.
LOST, UNKNOWN = "its worker died", "no worker came"

#: What it says of one that an operator has cancelled. Source: ``reason`` of operations/cancelling.py.
CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class TellOfTheDead:
    """Looks at messages that were lost or are overdue, and tells listeners of those that are dead."""

    sender: Sender

    def __call__(self, ids: Iterable[str]) -> None:
        """Look at these, if anybody listens.

        Raises:
            StoreUnavailable: the rest of them is not told of.
        """
        events = self.sender.events
        if not (events.hears(Failed) or events.hears(Dropped)):
            return
        for id in ids:
            record = self.sender.store().messages.look(id)
            if record is None:
                continue
            if record.state == "DEAD" and record.why.startswith((LOST, UNKNOWN)):
                events.emit(self._failed(record))
            elif _was_cancelled(record):
                events.emit(_dropped(record))

    def _failed(self, record: Record) -> Failed:
        task = backend = ""
        try:
            message = decode(record.body)
            task, backend = message.task, self.sender.route(message)
        except DecodeError as error:
            log.warning("a message of another release is dead: %s", error)
        why = f"WorkerLost: {record.why}" if record.why.startswith(LOST) else record.why
        return Failed(id=record.id, task=task, queue=record.queue, backend=backend, attempt=record.attempt, why=why)


def _was_cancelled(record: Record) -> bool:
    """Whether it ended with an attempt because somebody had cancelled it; of others who cancels them tells."""
    last = record.trail[-1] if record.trail else None
    ended_so = last is not None and last.what == "dropped" and last.begun_ms > 0
    return record.state == "DONE" and ended_so and record.why.startswith(CANCELLED)


def _dropped(record: Record) -> Dropped:
    task, queue = (record.past.task, record.past.queue) if record.past else ("", "")
    return Dropped(
        id=record.id, task=task, queue=queue, backend="", attempt=record.attempt, how="cancelled", why=record.why
    )
