"""How much memory a process and all that it has started hold: shared pages are counted once, where the system says.

Linux tells each process's proportional share (PSS) in ``smaps_rollup``. Elsewhere it is the resident size as ``ps``
gives it, which counts a page of forked processes once for each of them.
"""

from __future__ import annotations

import subprocess
from collections import defaultdict
from pathlib import Path

PROC = Path("/proc")


def held_mb(root: int) -> float:
    """Return the memory of a process and its descendants, in MiB; 0 when it is gone."""
    if (PROC / "self/smaps_rollup").exists():
        parents = {int(path.name): _parent(path) for path in PROC.iterdir() if path.name.isdigit()}
        return sum(_pss_kb(process) for process in _family(root, parents)) / 1024
    sizes, parents = _ask_ps()
    return sum(sizes.get(process, 0) for process in _family(root, parents)) / 1024


def _family(root: int, parents: dict[int, int]) -> list[int]:
    children = defaultdict(list)
    for process, parent in parents.items():
        children[parent].append(process)
    family = [root]
    for process in family:  # grows while it is read
        family += children[process]
    return family


def _parent(path: Path) -> int:
    """The fourth field of ``stat``; the second is a name in brackets that may hold anything."""
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _pss_kb(process: int) -> int:
    try:
        lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _ask_ps() -> tuple[dict[int, int], dict[int, int]]:
    listed = subprocess.run(["ps", "-axo", "pid=,ppid=,rss="], check=True, capture_output=True, text=True).stdout
    found = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return {process: size for process, _, size in found}, {process: parent for process, parent, _ in found}
