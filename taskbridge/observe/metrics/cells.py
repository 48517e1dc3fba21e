"""Cells: the numbers behind the series of this process.

They lie in the files of its seat where there is a folder, so that they outlive the process, else in its memory. Made
with the lock of their ledger held, and added to without it: the interpreter changes threads at calls and jumps, and
hears signals there, so never between reading a number and writing it. With free threads that would not hold.

A number in a file is added to where it is mapped: nothing is held back that a killed process would lose, and a reader
never sees half of one (a memoryview stores eight aligned bytes at once). Touches of prometheus_client that its
documentation does not name: ``MmapedDict._m``, ``MmapedDict._positions``; its own reader reads what we wrote in
``tests/unit/observe/metrics``.
"""

from __future__ import annotations

import errno
import json
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from .seats import FOLDER, OURS, Seats, seats_of
from .series import Series

#: With less space left no series is begun: a file that is mapped and cannot be written kills its process (SIGBUS).
ROOM_BYTES = 8 * 1024 * 1024

INFINITE = float("inf")

#: One cell of a series: the end of its name, and the upper end of its bucket, if it is one.
Part = tuple[str, float | None]


class Cell:
    """One number: one of eight bytes in ``numbers``, and which."""

    __slots__ = ("numbers", "place")

    def __init__(self, numbers: memoryview[float], place: int) -> None:
        self.numbers = numbers
        self.place = place

    @property
    def value(self) -> float:
        """What it is."""
        return self.numbers[self.place]

    def inc(self, amount: float) -> None:
        """Add to it."""
        self.numbers[self.place] += amount

    def counting(self) -> Callable[[object], None]:
        """Return what counts one more, whatever it is told of, without a call further."""
        numbers, place = self.numbers, self.place

        def count(_: object) -> None:
            numbers[place] += 1

        return count


class Made(NamedTuple):
    """A cell, and what it is: ``bound`` is the upper end of a bucket, None of a sum and of a counter."""

    series: Series
    labels: tuple[str, ...]
    bound: float | None
    cell: Cell


class Spread:
    """The numbers of one histogram: how many are in each bucket, and what they are together.

    Args:
        bounds: the upper ends of the buckets but the last.
        numbers: where they are.
        buckets: the places of the buckets.
        total: that of the sum.
    """

    __slots__ = ("bounds", "buckets", "numbers", "total")

    def __init__(self, bounds: tuple[float, ...], numbers: memoryview[float], buckets: list[int], total: int) -> None:
        self.bounds = bounds
        self.numbers = numbers
        self.buckets = buckets
        self.total = total

    def observe(self, seconds: float) -> None:
        """Count one more."""
        numbers = self.numbers
        numbers[self.buckets[bisect_left(self.bounds, seconds)]] += 1
        numbers[self.total] += seconds

    def observing(self, each: Cell) -> Callable[[float], None]:
        """Return what counts one more here, and in a counter, without a call further."""
        numbers, buckets, bounds, total = self.numbers, self.buckets, self.bounds, self.total
        counter, place = each.numbers, each.place

        def observe(seconds: float) -> None:
            numbers[buckets[bisect_left(bounds, seconds)]] += 1
            numbers[total] += seconds
            counter[place] += 1

        return observe


class Cells:
    """Makes the cells of one process; ``made`` are all of them."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        self._seats: Seats | None = None
        self._files: dict[str, MmapedDict] | None = None

    def counter(self, series: Series, labels: tuple[str, ...]) -> Cell:
        """Return a counter's.

        Raises:
            OSError: the folder is gone, cannot be written, or is full.
        """
        numbers, (place,) = self._made_of(series, labels, [("_total", None)])
        return Cell(numbers, place)

    def spread(self, series: Series, labels: tuple[str, ...]) -> Spread:
        """Return a histogram's.

        Raises:
            OSError: as for ``counter``.
        """
        parts: list[Part] = [("_bucket", bound) for bound in (*series.bounds_s, INFINITE)]
        numbers, (*buckets, total) = self._made_of(series, labels, [*parts, ("_sum", None)])
        return Spread(series.bounds_s, numbers, buckets, total)

    def written(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield name and labels of each counter that is in the file of this seat, whoever has begun it."""
        file = self._file("counter")
        for key, *_ in file.read_all_values() if file else ():
            name, _, labels, _ = json.loads(key)
            yield name, labels

    def _made_of(
        self, series: Series, labels: tuple[str, ...], parts: list[Part]
    ) -> tuple[memoryview[float], list[int]]:
        """Make the cells of one series; returns their numbers, and the place of each."""
        file = self._file(series.kind)
        if file is None or self._seats is None:
            places = list(range(len(parts)))
            numbers = memoryview(bytearray(8 * len(parts))).cast("d")
        else:
            _refuse_without_room(self._seats.folder)
            places = [_place(file, series, labels, part) for part in parts]
            numbers = memoryview(file._m).cast("d")  # a file that grows is mapped anew; what is older shows the same
        for (_, bound), place in zip(parts, places, strict=True):
            self.made.append(Made(series, labels, bound, Cell(numbers, place)))
        return numbers, places

    def _file(self, kind: str) -> MmapedDict | None:
        """Return the file of a kind of metric; None where all is in memory."""
        if self._files is None:
            folder = os.environ.get(FOLDER)
            self._seats = seats_of(folder) if folder else None
            self._files = {}
        if self._seats is None:
            return None
        if kind not in self._files:
            _refuse_without_room(self._seats.folder)
            name = f"{kind}_{OURS.format(self._seats.number)}.db"
            self._files[kind] = MmapedDict(os.path.join(self._seats.folder, name))
        return self._files[kind]


def _place(file: MmapedDict, series: Series, labels: tuple[str, ...], part: Part) -> int:
    """Return which eight bytes of a file are a cell's, and begin it there if the file has none."""
    suffix, bound = part
    names, values = [*series.label_names], [*labels]
    if bound is not None:
        names, values = [*names, "le"], [*values, floatToGoString(bound)]
    key = mmap_key(series.name, series.name + suffix, names, values, series.help)
    file.read_value(key)
    return int(file._positions[key]) // 8


def _refuse_without_room(folder: str) -> None:
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize < ROOM_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
