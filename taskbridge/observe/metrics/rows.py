"""Rows: the cells of one task on one queue of one backend. What may be a label's value, and how many there may be.

Tasks that the code declares always have rows of their own. Of others, and of exceptions, only so many have: names come
from whoever can publish. What the files of a seat hold counts, so its next holders add nothing for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from typing import Generic, TypeVar

from ..text import safe
from .cells import Cell, Cells, Spread
from .series import (
    FAILED,
    LABELS,
    PARKED,
    PARKED_FOR,
    QUEUE,
    RECEIVED,
    REFUSED,
    REJECTED,
    REPEATS,
    RESCHEDULED,
    RETRIED,
    REVOKED,
    RUN,
    SENT,
    SHADOWS,
    STARTED,
    SUCCEEDED,
    Series,
)

T = TypeVar("T")

#: Most rows of tasks or queues that the code does not declare, and most exceptions of one row, in one process.
MOST_ROWS = 1_000
MOST_WORDS = 20

#: What stands for all others.
OTHER = "other"

#: A label's value is cut, letters.
MOST_LETTERS = 200


def shown(text: str) -> str:
    """Return a text as a label's value: short, and nothing in it that an encoder or a terminal stumbles over."""
    return safe(text[:MOST_LETTERS])


class Words(dict[str, T], Generic[T]):
    """Cells by one more label; beyond ``MOST_WORDS`` they are one."""

    def __init__(self, make: Callable[[str], T], written: set[str]) -> None:
        super().__init__()
        self._make = make
        self._written = written

    def __missing__(self, word: str) -> T:
        kept = shown(word)
        if kept not in self._written and len(self._written) >= MOST_WORDS:
            kept = OTHER
        self._written.add(kept)
        made = dict.get(self, kept)
        cell = self._make(kept) if made is None else made
        self[kept] = cell
        if len(self) < 2 * MOST_WORDS:  # it is found at once next time
            self[word] = cell
        return cell


class Row:
    """The cells of one task, each made when it is first used."""

    def __init__(self, labels: tuple[str, ...], rows: Rows) -> None:
        self._labels = labels
        self._rows = rows

    @cached_property
    def sent(self) -> Cell:
        return self._counter(SENT)

    @cached_property
    def received(self) -> Cell:
        return self._counter(RECEIVED)

    @cached_property
    def started(self) -> Cell:
        return self._counter(STARTED)

    @cached_property
    def succeeded(self) -> Cell:
        return self._counter(SUCCEEDED)

    @cached_property
    def rescheduled(self) -> Cell:
        return self._counter(RESCHEDULED)

    @cached_property
    def claims_refused(self) -> Cell:
        return self._counter(REFUSED)

    @cached_property
    def failed(self) -> Words[Cell]:
        return self._counters(FAILED)

    @cached_property
    def retried(self) -> Words[Cell]:
        return self._counters(RETRIED)

    @cached_property
    def rejected(self) -> Words[Cell]:
        return self._counters(REJECTED)

    @cached_property
    def revoked(self) -> Words[Cell]:
        return self._counters(REVOKED)

    @cached_property
    def repeats(self) -> Words[Cell]:
        return self._counters(REPEATS)

    @cached_property
    def shadows(self) -> Words[Cell]:
        return self._counters(SHADOWS)

    @cached_property
    def parked(self) -> Words[Cell]:
        return self._counters(PARKED)

    @cached_property
    def waited(self) -> Spread:
        return self._rows.cells.spread(QUEUE, self._labels)

    @cached_property
    def ran(self) -> Words[Spread]:
        return self._spreads(RUN)

    @cached_property
    def parked_for(self) -> Words[Spread]:
        return self._spreads(PARKED_FOR)

    def _counter(self, series: Series) -> Cell:
        return self._rows.cells.counter(series, self._labels)

    def _counters(self, series: Series) -> Words[Cell]:
        written = self._rows.words[series.name, self._labels]
        return Words(lambda word: self._rows.cells.counter(series, (*self._labels, word)), written)

    def _spreads(self, series: Series) -> Words[Spread]:
        return Words(lambda word: self._rows.cells.spread(series, (*self._labels, word)), set())


class Rows(dict[tuple[str, ...], Row]):
    """All rows of one process, by backend, broker, queue and task as they came."""

    def __init__(self, cells: Cells) -> None:
        super().__init__()
        self.cells = cells
        self._made: dict[tuple[str, ...], Row] = {}

    def add(self, key: tuple[str, ...], *, declared: bool) -> Row:
        """Return the row of a key that has none yet; ``declared`` is whether the code knows task and queue."""
        backend, broker, queue, task = map(shown, key)
        labels = (backend, broker, queue, task)
        if not declared and labels not in self.strange and len(self.strange) >= MOST_ROWS:
            labels = (backend, broker, OTHER, OTHER)
        if not declared:
            self.strange.add(labels)
        row = self._made.get(labels)
        if row is None:
            row = self._made[labels] = Row(labels, self)
        if declared or len(self) < 2 * MOST_ROWS:  # it is found at once next time
            self[key] = row
        return row

    @cached_property
    def strange(self) -> set[tuple[str, ...]]:
        """The rows that count against ``MOST_ROWS``: those of the files, and what was added."""
        return {labels for _, labels in self.words}

    @cached_property
    def words(self) -> defaultdict[tuple[str, tuple[str, ...]], set[str]]:
        """By series and row, the values of its further label that are in the files; read once, when first needed."""
        found: defaultdict[tuple[str, tuple[str, ...]], set[str]] = defaultdict(set)
        for name, labels in self.cells.written():
            row = tuple(labels.pop(label) for label in LABELS)
            found[name, row].update(labels.values())
        return found
