"""How long the store takes to answer this process."""

from __future__ import annotations

from ...clock import Clock
from .ledger import Ledger


class Trips:
    """Times round trips; what goes wrong in here goes wrong for nobody else.

    Args:
        clock: by which.
        ledger: where to count.
    """

    def __init__(self, clock: Clock, ledger: Ledger) -> None:
        self.begin = self._now_s = clock.monotonic_s
        self._ledger = ledger

    def end(self, began_s: float) -> None:
        """Count a trip that was answered."""
        now_s, ledger = self._now_s(), self._ledger
        try:
            (ledger.trips or ledger.first_trip()).observe(now_s - began_s)
        except Exception as error:
            ledger.complain(error, now_s)
