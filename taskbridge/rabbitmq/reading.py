"""What to read next, by how much waits where: bands in order, queues of a band in turn. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from .queues import Reading

#: Messages are streamed to whom so many are wanted at once: tasks of up to two milliseconds, by ``worker/pace.py``.
STREAMS_FROM = 24


class Stream(NamedTuple):
    """Queues that are pushed, at most ``ahead`` of each; ``limit`` is how many were wanted when it began."""

    names: Sequence[str]
    ahead: int
    limit: int

    @property
    def together(self) -> int:
        """How many acknowledgements travel together, so that the broker does not wait for them."""
        return max(self.ahead // 2, self.limit // 8)

    def serves(self, worth: Stream | None) -> bool:
        """Whether it is about as good as what would begin now: the same queues, not much less of each."""
        return worth is not None and self.names == worth.names and self.ahead * 2 > worth.ahead


def wanted(readings: Sequence[Reading], depths: Mapping[str, int], limit: int, turn: int) -> list[str]:
    """Return the queue of each message to ask for, at most so many; ``turn`` says which of a band begins."""
    found: list[str] = []
    for rank in sorted({one.rank for one in readings}):
        names = [one.name for one in readings if one.rank == rank and depths[one.name]]
        first = turn % len(names) if names else 0
        found += _in_turn([[name] * min(depths[name], limit) for name in names[first:] + names[:first]])
    return found[:limit]


def stream(readings: Sequence[Reading], depths: Mapping[str, int], limit: int) -> Stream | None:
    """Return what is worth being pushed: the first band in which something waits, if much does, and those before it."""
    ranks = [one.rank for one in readings if depths[one.name]]
    if limit < STREAMS_FROM or not ranks:
        return None
    much = [depths[one.name] for one in readings if one.rank == min(ranks) and depths[one.name]]
    if sum(much) < 2 * limit:
        return None
    names = [one.name for one in readings if one.rank <= min(ranks)]
    return Stream(names, max(1, limit // len(much)), limit)


def _in_turn(lists: Sequence[Sequence[str]]) -> list[str]:
    """One of each in turn, until all are empty."""
    return [name for round in zip_longest(*lists) for name in round if name]
