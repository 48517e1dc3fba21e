"""Publish what is due, delayed and ready alike: lease, publish in bulk, then mark. Nothing is popped first."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..enqueue import Sender, publish
from ..message import Message, decode
from ..store import Due

log = logging.getLogger("taskbridge.relay")

#: How many messages are taken at a time.
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class PublishDue:
    """The duty of moving due messages to the engine that is current now."""

    sender: Sender

    def __call__(self) -> int:
        outbox = self.sender.store().outbox
        due = outbox.take(BATCH)
        if not due:
            return 0
        now_ms = self.sender.clock.now_ms()
        publish([_published(one, now_ms) for one in due], self.sender)
        outbox.mark([(one.id, one.seq) for one in due])
        return len(due)


def _published(due: Due, now_ms: int) -> Message:
    return decode(due.body).copy(seq=due.seq, attempt=due.attempt, released_at_ms=now_ms)
