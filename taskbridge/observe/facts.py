"""What a supervisor knows of itself and its processes, as it is told to whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Processes that serve the same queues: how many there are to be, live and run a task.

    ``busy_s`` is how long they had something to do, all together; ``utilisation`` the share of their time, of late.
    """

    wanted: int
    alive: int
    active: int
    busy_s: float
    utilisation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A worker at one moment.

    ``groups`` are by name, ``replaced`` counts children by group and reason, ``leads`` is whether its relay does.
    """

    groups: Mapping[str, Group] = field(default_factory=dict)
    replaced: Mapping[tuple[str, str], int] = field(default_factory=dict)
    leads: bool = False
