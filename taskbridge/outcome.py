"""What became of one attempt: ``Done``, ``Again``, ``Parked`` or ``Ended``.

Plain values: ``execution`` makes them, ``store.claims.finish`` writes them down. Spans and instants are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Done:
    """The task returned."""

    result: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Later once more.

    ``counted`` says whether an attempt was spent, ``ran`` whether the task was entered at all; ``kwargs`` replaces
    arguments of the same name.
    """

    after_ms: int
    counted: bool
    why: str
    ran: bool = True
    kwargs: dict[str, Any] | None = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """Kept for a newer worker: this one lacks the task (``missing`` empty) or some keyword arguments."""

    why: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Not done, and not again.

    ``how`` is ``dead`` (seen and replayed among the dead letters), ``dropped`` or ``purged``.
    """

    how: str
    why: str
    error: BaseException | None = None
    traceback: str = ""


Outcome = Done | Again | Parked | Ended
