"""Publish what is due, delayed and ready alike: lease, publish in bulk, then mark. Nothing is popped first."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..enqueue import Sender, publish
from ..errors import DecodeError
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
        messages = [message for one in due if (message := _published(one, now_ms))]
        publish(messages, self.sender)
        outbox.mark([(message.id, message.seq) for message in messages])
        return len(messages)


def _published(due: Due, now_ms: int) -> Message | None:
    """Return the copy to publish; None for one that a newer release wrote, which waits for its relay."""
    try:
        return decode(due.body).copy(seq=due.seq, attempt=due.attempt, released_at_ms=now_ms)
    except DecodeError as error:
        log.error("%s is due and stays where it is: %s", due.id, error)  # noqa: TRY400
        return None
