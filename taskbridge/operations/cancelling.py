"""Why an operator has cancelled a message or a run, and what listeners are told of it."""

from __future__ import annotations

from ..errors import DecodeError
from ..events import Dropped
from ..message import decode
from ..store import Record
from .audit import whoami

#: Most characters of a reason.
LONGEST_WHY = 500

#: What a reason begins with.
CANCELLED = "cancelled"


def reason(who: str, why: str) -> str:
    """Return what is kept with what is cancelled; nobody named is whoever runs this process."""
    return f"{CANCELLED} by {who or whoami()}" + (f": {why[:LONGEST_WHY]}" if why else "")


def cancelled(record: Record, why: str, backend: str = "") -> Dropped:
    """Return the event of a message that was in this state until then."""
    try:
        task = decode(record.body).task if record.body else ""
    except DecodeError:  # of another release
        task = ""
    return Dropped(
        id=record.id,
        task=task,
        queue=record.queue,
        backend=backend,
        attempt=record.attempt,
        how="cancelled",
        why=why,
    )
