"""Memory of a family of processes: the sum of their proportional set sizes, so that a shared page counts once.

Linux only: nothing else tells it. Source: proc(5), ``smaps_rollup``.
"""

from __future__ import annotations

import re
from pathlib import Path

import psutil


def proportional_mib(process: psutil.Process) -> float:
    """Return the proportional set sizes of a process and all below it, MiB."""
    family = [process, *process.children(recursive=True)]
    return sum(_proportional_kib(one.pid) for one in family) / 1024


def _proportional_kib(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found, f"expected a Pss line for process {pid}"
    return int(found.group(1))
