"""How much memory a process holds, MiB: what is resident now on Linux, by ``/proc``; elsewhere its own peak."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable

MIB = 1024 * 1024

#: Whether other processes can be measured, too.
CAN_LOOK = os.path.exists("/proc/self/statm")


def resident_mb(pid: int) -> float:
    """Return what another process holds; 0 when it is gone. Where ``CAN_LOOK``."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as statm:
            return _pages_mb(statm.read(128))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def own_memory() -> Callable[[], float]:
    """Return what measures this process, cheap enough for each task. To be made after the fork."""
    if CAN_LOOK:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
        return lambda: _pages_mb(os.pread(statm, 128, 0))
    unit = 1 if sys.platform == "darwin" else 1024  # source: getrusage(2), ru_maxrss: bytes on macOS, else KiB
    return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def _pages_mb(statm: bytes) -> float:
    """Source: proc(5), ``/proc/pid/statm``: size, resident, ... in pages."""
    words = statm.split()
    return int(words[1]) * resource.getpagesize() / MIB if len(words) > 1 else 0.0
