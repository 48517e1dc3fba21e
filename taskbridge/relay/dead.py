"""Tell of messages that have died in nobody's hands: lost with their workers too often, or known to none that came."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from ..enqueue import Sender
from ..errors import DecodeError
from ..events import Failed
from ..message import decode
from ..store import Record

log = logging.getLogger("taskbridge.relay")

#: What the store says of such messages; another that is dead by now has failed in a worker, which has told of it.
#: Source: ``crashed`` and ``overdue`` of store/memory, and the scripts of store/redis.
LOST, UNKNOWN = "its worker died", "no worker came"


@dataclass(frozen=True, slots=True)
class TellOfTheDead:
    """Looks at messages that were lost or are overdue, and tells listeners of those that are dead."""

    sender: Sender

    def __call__(self, ids: Iterable[str]) -> None:
        """Look at these, if anybody listens.

        Raises:
            StoreUnavailable: the rest of them is not told of.
        """
        if not self.sender.events.hears(Failed):
            return
        for id in ids:
            record = self.sender.store().messages.look(id)
            if record is not None and record.state == "DEAD" and record.why.startswith((LOST, UNKNOWN)):
                self.sender.events.emit(self._failed(record))

    def _failed(self, record: Record) -> Failed:
        task = backend = ""
        try:
            message = decode(record.body)
            task, backend = message.task, self.sender.route(message)
        except DecodeError as error:
            log.warning("a message of another release is dead: %s", error)
        why = f"WorkerLost: {record.why}" if record.why.startswith(LOST) else record.why
        return Failed(id=record.id, task=task, queue=record.queue, backend=backend, attempt=record.attempt, why=why)
