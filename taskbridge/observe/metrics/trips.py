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
        self._clock = clock
        self._ledger = ledger

    def begin(self) -> float:
        """Return when a trip began."""
        return self._clock.monotonic_s()

    def end(self, began_s: float) -> None:
        """Count a trip that was answered."""
        now_s, ledger = self._clock.monotonic_s(), self._ledger
        try:
            with ledger.lock:
                ledger.trips.observe(now_s - began_s)
        except Exception as error:
            ledger.complain(error, now_s)
