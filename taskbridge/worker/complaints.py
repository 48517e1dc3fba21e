"""Complaints: what goes wrong around every task is said once for each reason, with its traceback, and then counted.

Of a reason that goes on the log says at most once a minute how often it was met since.
"""

from __future__ import annotations

from ..clock import Clock
from ..subscribers import Seldom

#: So many reasons are told apart in one process; all others are one.
MOST = 100

#: A reason: what was raised, and in which line of which file.
Reason = tuple[str, str, int]
OTHERS: Reason = ("", "", 0)


class Complaints:
    """How often each reason was met, by a clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._met: dict[Reason, Seldom] = {}

    def more(self, error: BaseException) -> int:
        """Count one; returns how often its reason was met since it was last said, or 0 where it need not be said."""
        reason = _reason(error)
        if reason not in self._met and len(self._met) >= MOST:
            reason = OTHERS
        return self._met.setdefault(reason, Seldom(self._clock)).more()


def _reason(error: BaseException) -> Reason:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace else ("", 0)
    return (type(error).__name__, *where)
