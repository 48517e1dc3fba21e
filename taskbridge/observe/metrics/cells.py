"""Cells: the numbers behind the series of this process.

They lie in the files of its seat where there is a folder, so that they outlive the process, else in its memory. Made
with the lock of their ledger held.
"""

from __future__ import annotations

import errno
import json
import os
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from .seats import FOLDER, OURS, Seats, seats_of
from .series import Series

#: With less space left no series is begun: a file that is mapped and cannot be written kills its process (SIGBUS).
ROOM_BYTES = 8 * 1024 * 1024

INFINITE = float("inf")


class Cell:
    """One number in memory."""

    __slots__ = ("value",)

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def inc(self, amount: float) -> None:
        """Add to it."""
        self.value += amount


class FileCell(Cell):
    """One number in a file of prometheus_client's; it goes on where the file has it."""

    __slots__ = ("_file", "_key")

    def __init__(self, file: MmapedDict, key: str) -> None:
        super().__init__(file.read_value(key)[0])
        self._file = file
        self._key = key

    def inc(self, amount: float) -> None:
        self.value = value = self.value + amount
        self._file.write_value(self._key, value, 0.0)


class Made(NamedTuple):
    """A cell, and what it is: ``bound`` is the upper end of a bucket, None of a sum and of a counter."""

    series: Series
    labels: tuple[str, ...]
    bound: float | None
    cell: Cell


class Spread:
    """The cells of one histogram."""

    def __init__(self, bounds: tuple[float, ...], total: Cell, buckets: list[Cell]) -> None:
        self._bounds = bounds
        self._total = total
        self._buckets = buckets

    def observe(self, seconds: float) -> None:
        """Count one more."""
        self._buckets[bisect_left(self._bounds, seconds)].inc(1)
        self._total.inc(seconds)


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
        return self._cell(series, labels, "_total")

    def spread(self, series: Series, labels: tuple[str, ...]) -> Spread:
        """Return a histogram's.

        Raises:
            OSError: as for ``counter``.
        """
        buckets = [self._cell(series, labels, "_bucket", bound) for bound in (*series.bounds_s, INFINITE)]
        return Spread(series.bounds_s, self._cell(series, labels, "_sum"), buckets)

    def written(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield name and labels of each counter that is in the file of this seat, whoever has begun it."""
        file = self._file("counter")
        for key, *_ in file.read_all_values() if file else ():
            name, _, labels, _ = json.loads(key)
            yield name, labels

    def _cell(self, series: Series, labels: tuple[str, ...], suffix: str, bound: float | None = None) -> Cell:
        file = self._file(series.kind)
        names, values = [*series.label_names], [*labels]
        if bound is not None:
            names, values = [*names, "le"], [*values, floatToGoString(bound)]
        if file is None or self._seats is None:
            cell = Cell()
        else:
            _refuse_without_room(self._seats.folder)
            cell = FileCell(file, mmap_key(series.name, series.name + suffix, names, values, series.help))
        self.made.append(Made(series, labels, bound, cell))
        return cell

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


def _refuse_without_room(folder: str) -> None:
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize < ROOM_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
