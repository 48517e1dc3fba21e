"""End a message that is too large for the broker where it goes now: it would be refused again, for ever.

What is enqueued is measured by its producer's settings; by the time it is due, a route may lead elsewhere.
"""

from __future__ import annotations

import logging

from ..enqueue import Sender
from ..errors import PayloadTooLarge
from ..events import Failed
from ..message import Message, encode, new_id
from ..options import MAX_CRASHES
from ..store import Begin, Finish

log = logging.getLogger("taskbridge.relay")


def end_oversize(message: Message, backend: str, error: PayloadTooLarge, sender: Sender) -> None:
    """Put it among the dead letters, as every message ends: from there it is replayed when the route is changed.

    Raises:
        StoreUnavailable: it is tried again with the next copy.
    """
    claims, claim = sender.store().claims, f"relay:{new_id()}"
    asked = Begin(message=message, body=encode(message), claim=claim, max_crashes=MAX_CRASHES, ending=True)
    begun = claims.begin(asked)
    why = f"PayloadTooLarge: the backend {backend!r} does not take it: {error}"
    if claims.finish(Finish(id=message.id, claim=claim, state="DEAD", ran=False, why=why)) != "ok":
        return  # another copy is further, or it has just ended otherwise
    log.error("%s (%s) is dead: %s", message.task, message.id, why)
    if sender.events.hears(Failed):
        told = Failed(
            id=message.id, task=message.task, queue=message.queue, backend=backend, attempt=begun.attempt, why=why
        )
        sender.events.emit(told)
