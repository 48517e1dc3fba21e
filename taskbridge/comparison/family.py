"""What a process and all that it has started use: processor seconds and memory, as Linux tells in ``/proc``.

Memory is the proportional set size (PSS): a page that forked processes share counts once, and not once for each.
Elsewhere nothing is told (``MISSING`` says what), and nothing is made up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

#: Whether other processes can be measured.
CAN_LOOK = (PROC / "self/smaps_rollup").exists() and (PROC / "thread-self/children").exists()

MISSING = "" if CAN_LOOK else "processor time and memory are not measured: only Linux tells them of other processes"

#: How often memory is looked at, seconds: the kernel walks all pages for it, about a millisecond a process.
LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """At one instant: the processor seconds so far, those of descendants that have ended among them; MiB held."""

    cpu_s: float = 0.0
    memory_mb: float = 0.0
    processes: int = 0


def usage(root: int) -> Usage:
    """Look at a process and its descendants; all zeros when it is gone, or where nothing is told."""
    family = _family(root) if CAN_LOOK else []
    return Usage(sum(map(_cpu_s, family)), sum(map(_memory_mb, family)), len(family))


class Meter:
    """Follows a family: from ``start`` on, what it has used and held at most.

    Args:
        root: the process that started the others.
        now_s: elapsed time.
    """

    def __init__(self, root: int, now_s: Callable[[], float]) -> None:
        self._root = root
        self._now_s = now_s
        self._due_s = now_s()
        self.first = self.last = usage(root)
        self.peak_mb = self.first.memory_mb

    def look(self, *, at_once: bool = False) -> None:
        """Look if it is time to."""
        if at_once or self._now_s() >= self._due_s:
            self._due_s = self._now_s() + LOOK_EVERY_S
            seen = usage(self._root)
            self.last = seen if seen.processes else self.last
            self.peak_mb = max(self.peak_mb, seen.memory_mb)

    @property
    def cpu_s(self) -> float | None:
        """Used since the start; None where it is not told."""
        return self.last.cpu_s - self.first.cpu_s if CAN_LOOK else None

    @property
    def grown_mb(self) -> float | None:
        """How much more is held than at the start; None where it is not told."""
        return self.last.memory_mb - self.first.memory_mb if CAN_LOOK else None


def _family(root: int) -> list[int]:
    family = [root]
    for process in family:  # grows while it is read
        family += _children(process)
    return [process for process in family if _stat(process)]


def _children(process: int) -> list[int]:
    """Those that any of its threads has started. Source: proc(5), ``/proc/pid/task/tid/children``."""
    try:
        threads = list((PROC / str(process) / "task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text("ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _stat(process: int) -> list[bytes]:
    """From the third word on; the second is a name in brackets that may hold anything. Source: proc(5)."""
    try:
        return (PROC / str(process) / "stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_s(process: int) -> float:
    """utime, stime, cutime and cstime: words 14 to 17, in ticks. Source: proc(5)."""
    return sum(map(int, _stat(process)[11:15])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(process: int) -> float:
    try:
        lines = (PROC / str(process) / "smaps_rollup").read_bytes().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) for line in lines if line.startswith(b"Pss:")), 0) / 1024
