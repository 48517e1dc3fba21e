"""How many messages a child takes ahead: about 50 ms of work by the running mean of its tasks, one at first."""

from __future__ import annotations

#: Work taken ahead, milliseconds, and most messages. Source: reference measurements in docs/benchmarks.md.
AHEAD_MS = 50.0
MOST = 32

#: How much the newest run counts in the mean.
WEIGHT = 0.2


class Pace:
    """The running mean of a child's tasks."""

    def __init__(self) -> None:
        self._mean_ms: float | None = None

    def ran(self, ms: float) -> None:
        """Count one run."""
        mean = self._mean_ms
        self._mean_ms = ms if mean is None else mean + WEIGHT * (ms - mean)

    @property
    def ahead(self) -> int:
        """How many to take now."""
        if self._mean_ms is None:
            return 1
        return max(1, min(MOST, int(AHEAD_MS / max(self._mean_ms, 0.01))))
