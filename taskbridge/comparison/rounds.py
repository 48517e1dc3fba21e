"""The rounds of a comparison: in each, every side in turn, so that whatever else the machine does meets all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from .measures import Run
from .play import Plan, play
from .sides import Side

#: Told what is run now, by round and side; returns who is told how far it is.
Begin = Callable[[int, Side], Callable[[int, int], None]]


def namespace() -> str:
    """Return a namespace that nobody has."""
    return f"compare-{os.urandom(4).hex()}"


def rounds(plan: Plan, sides: Sequence[Side], number: int, name: str, begin: Begin) -> list[Run]:
    """Play so many rounds and return their runs in the order they were played.

    Raises:
        As ``play``; nothing of it is left then.
    """
    return [
        play(plan, side, f"{name}-{round}-{place}", round, begin(round, side))
        for round in range(1, number + 1)
        for place, side in enumerate(sides, 1)
    ]
