"""What a task does that is timed: it writes down, first of all, how long after its publishing it was started."""

from __future__ import annotations

import time


def write_down(sent_ns: int, path: str) -> None:
    """Add one line to a file: milliseconds from ``sent_ns`` (monotonic, one clock per machine) until now."""
    waited_ms = (time.monotonic_ns() - sent_ns) / 1e6
    with open(path, "a", encoding="ascii") as lines:
        lines.write(f"{waited_ms:.4f}\n")
