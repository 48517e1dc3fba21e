"""What became of one attempt: ``Done``, ``Again``, ``Parked`` or ``Ended``.

Plain values: ``execution`` makes them, ``store.claims.finish`` writes them down. Spans and instants are milliseconds.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Done(msgspec.Struct, frozen=True):
    """The task returned. ``given`` is its result as JSON where it is for the next link of a chain."""

    result: Any = None
    given: bytes = b""


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Later once more.

    ``counted`` says whether an attempt was spent, ``ran`` whether the task was entered at all; ``body`` is the message
    with other arguments, empty when they stay. ``shuts`` is the key of a limit at which nobody starts meanwhile.
    """

    after_ms: int
    counted: bool
    why: str
    ran: bool = True
    body: bytes = b""
    shuts: str = ""
    error: BaseException | None = None


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """Kept for a newer worker: this one lacks the task (``missing`` empty) or some keyword arguments."""

    why: str
    missing: tuple[str, ...] = ()


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Not done, and not again.

    ``how`` is ``dead`` (seen and replayed among the dead letters), ``dropped`` or ``purged``; ``body`` is the message
    with the arguments that a replay is to have, empty when they stay.
    """

    how: str
    why: str
    error: BaseException | None = None
    traceback: str = ""
    body: bytes = b""


Outcome = Done | Again | Parked | Ended
