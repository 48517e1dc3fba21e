"""How often somebody may get a token wrong: so many times at once, then once in a while. Kept in the process alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

#: So many wrong tokens at once, and one more after each so many seconds.
BURST, EACH_S = 5, 12.0

#: So many addresses are remembered, those heard of last.
REMEMBERED = 10_000


class Patience:
    """Counts wrong tokens by address.

    Args:
        clock_s: elapsed time, seconds.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._full_s: OrderedDict[str, float] = OrderedDict()  # until when an address has used up something
        self._lock = Lock()

    def wait_s(self, address: str) -> float:
        """Return how long an address has to wait before it may try; 0 where it may now."""
        with self._lock:
            over_s = self._full_s.get(address, 0.0) - self._clock_s() - (BURST - 1) * EACH_S
        return max(0.0, over_s)

    def wrong(self, address: str) -> None:
        """Say that an address has got it wrong."""
        with self._lock:
            self._full_s[address] = max(self._full_s.pop(address, 0.0), self._clock_s()) + EACH_S
            while len(self._full_s) > REMEMBERED:
                self._full_s.popitem(last=False)

    def right(self, address: str) -> None:
        """Say that it has got it right."""
        with self._lock:
            self._full_s.pop(address, None)
