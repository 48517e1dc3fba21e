"""Publish what is due, delayed and ready alike: lease, publish in bulk, then mark. Nothing is popped first."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from ..enqueue import Sender, publish
from ..errors import DecodeError, StoreFull
from ..message import Message, decode
from ..routing import route
from ..store import Due

log = logging.getLogger("taskbridge.relay")

#: How many messages are taken at a time.
BATCH = 1_000


#: A full broker is handed so many that the store keeps already, and no more while so many wait: each is there twice.
TRICKLE = 100

#: How long to leave a full broker alone while so many wait, seconds.
PAUSE_S = 0.02

#: A backend's name, and a queue.
Place = tuple[str, str]


@dataclass(slots=True)
class PublishDue:
    """The duty of moving due messages to the engine that is current now.

    While the broker is full, ``full`` has the places that were handed a few: what is due trickles through the workers
    and frees its memory.
    """

    sender: Sender
    full: set[Place] = field(default_factory=set)

    def __call__(self) -> int:
        if any(not self._has_room(place) for place in self.full):
            self.sender.clock.sleep(PAUSE_S)
            return 0
        outbox = self.sender.store().outbox
        due = outbox.take(TRICKLE if self.full else BATCH)
        now_ms = self.sender.clock.now_ms()
        messages = [message for one in due if (message := _published(one, now_ms))]
        if not messages:
            return 0
        published = self._publish(messages)
        outbox.mark([(message.id, message.seq) for message in published])
        return len(published)

    def _publish(self, messages: list[Message]) -> list[Message]:
        """Return what was published: all, or what a full broker is handed; the rest is taken again later."""
        try:
            publish(messages, self.sender)
            self.full = set()
            return messages
        except StoreFull as error:
            log.warning("what is due trickles: %s", error)
        few = messages[:TRICKLE]
        self.full = {(route(message, self.sender.settings), message.queue) for message in few}
        if not all(map(self._has_room, self.full)):
            return []
        publish(few, self.sender, kept=True)
        return few

    def _has_room(self, place: Place) -> bool:
        backend, queue = place
        return self.sender.backend(backend).depth(queue) < TRICKLE


def _published(due: Due, now_ms: int) -> Message | None:
    """Return the copy to publish; None for one that a newer release wrote, which waits for its relay."""
    try:
        return decode(due.body).copy(seq=due.seq, attempt=due.attempt, released_at_ms=now_ms)
    except DecodeError as error:
        log.error("%s is due and stays where it is: %s", due.id, error)  # noqa: TRY400
        return None
