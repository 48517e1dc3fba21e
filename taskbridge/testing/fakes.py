"""Stand-ins for tests: a clock that moves when told, and a message that is complete."""

from __future__ import annotations

import threading
from typing import Any

from ..message import Message, new_id

#: Where a fake clock starts: 1 January 2026, noon, UTC (unix ms).
NOON_MS = 1_767_268_800_000


class FakeClock:
    """Time that passes only by ``advance`` and ``sleep``.

    Args:
        now_ms: where it starts, unix milliseconds. Defaults to a noon.
    """

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self._start_ms = now_ms
        self._elapsed_s = 0.0
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        return self._start_ms + round(self._elapsed_s * 1000)

    def monotonic_s(self) -> float:
        return self._elapsed_s

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        with self._lock:
            self._elapsed_s += seconds


def a_message(**changes: Any) -> Message:
    """Return a message with a fresh id, changed as asked."""
    fields: dict[str, Any] = {"id": new_id(), "task": "tests.send", "queue": "mail"}
    return Message(**(fields | changes))
