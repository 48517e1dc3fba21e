"""What a worker's processes saw, one line per event; a worker loads it beside the tasks.

Each process appends to its own file in ``FINTECH_MEASURES``; one that is killed may have seen a few more. These are
spans for the table; whether anything was lost or done twice is not decided here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from taskbridge import subscribe
from taskbridge.events import Event, Failed, Retried, Started, Succeeded, Waiting

VARIABLE = "FINTECH_MEASURES"


@dataclass(slots=True)
class Measures:
    """Spans in milliseconds over all attempts, and how often what came to pass.

    ``throttled`` and ``locked`` are waits for a limit and for a lock; ``rescheduled`` are runs that a 429 has ended,
    ``polls`` those that have asked to look again.
    """

    queue_ms: list[float] = field(default_factory=list)
    run_ms: list[float] = field(default_factory=list)
    retries: int = 0
    rescheduled: int = 0
    polls: int = 0
    throttled: int = 0
    locked: int = 0


class Recorder:
    """Appends to one file per process."""

    def __init__(self) -> None:
        self._process = 0
        self._file = -1

    def write(self, kind: str, event: Event, milliseconds: float) -> None:
        """Append one line: what came to pass with which task, for how long, on which backend.

        A short write to a file opened for appending is never torn.
        """
        if self._process != os.getpid():
            self._process = os.getpid()
            path = Path(os.environ[VARIABLE]) / str(self._process)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(self._file, f"{kind} {event.task} {milliseconds:.3f} {event.backend}\n".encode())


recorder = Recorder()


@subscribe(Started, Retried, Waiting, Succeeded, Failed)
def listen(event: Event) -> None:
    """Write down how long a message waited and ran, and for what it was put aside."""
    if VARIABLE not in os.environ:
        return
    if isinstance(event, Started):
        recorder.write("waited", event, event.waited_ms)
    elif isinstance(event, Retried):
        recorder.write("retried" if event.counted else "rescheduled", event, event.ran_ms)
    elif isinstance(event, Waiting):
        recorder.write(event.how, event, 0)
    elif isinstance(event, Succeeded | Failed):
        recorder.write("ran", event, event.ran_ms)


def read(folder: Path, *, leave_out: str, polls: str) -> Measures:
    """Gather what all processes have written, but for the task ``leave_out``; ``polls`` is the one that polls."""
    measures, seen = Measures(), Counter[str]()
    for path in sorted(folder.iterdir()):
        for line in path.read_text("ascii").splitlines():
            kind, task, milliseconds, _ = line.split()
            if task == leave_out:
                continue
            seen["polls" if kind == "rescheduled" and task == polls else kind] += 1
            if kind == "waited":
                measures.queue_ms.append(float(milliseconds))
            elif kind not in ("throttled", "locked"):
                measures.run_ms.append(float(milliseconds))
    measures.retries, measures.rescheduled = seen["retried"], seen["rescheduled"]
    measures.polls = seen["polls"]
    measures.throttled, measures.locked = seen["throttled"], seen["locked"]
    return measures


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that so many percent do not exceed; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)] if ordered else 0.0
