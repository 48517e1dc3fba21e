"""Messages without the ledger: of tasks with ``ledger=False``, run and acknowledged as their engine would.

The store is asked nothing and told nothing of one that succeeds. One that does not is taken into the ledger then, and
is retried, postponed, parked or dead like any other. So is, from the start, what the store has had in its hands (it
was delayed, is a link of a chain, has been retried), and every message while somebody must be able to tell it from
others: its task or queue is paused, an unknown one was cancelled, or a process has died while it ran one.
"""

from __future__ import annotations

from .claimed import early_ms
from .clock import Clock
from .message import Message
from .runtime import Runtime
from .shadow import BEGUN
from .store import Begun

#: For how long all is recorded after a process has died running one without a record.
RECORD_ALL_MS = 3_600_000

#: What ``begin`` would have answered for one that comes too late.
LATE = Begun(verdict="expired")


def is_unrecorded(message: Message, runtime: Runtime) -> bool:
    """Whether its task wants no ledger, and it is of itself: the store has never had it, and nothing follows it."""
    definition = runtime.definitions.get(message.task)
    if definition is None or definition.options.ledger:
        return False
    known = message.released_at_ms or message.flow or message.shadow or message.hard_timeout_ms > 0
    return not known and early_ms(message, runtime) <= 0


def begun(message: Message, clock: Clock) -> Begun:
    """Return what ``begin`` would have answered, which is not asked."""
    return LATE if 0 < message.expires_at_ms < clock.now_ms() else BEGUN


def entering(message: Message) -> Message:
    """Return the message as it comes into the ledger after its first attempt: it was begun in time."""
    return message.copy(expires_at_ms=0) if message.expires_at_ms else message
