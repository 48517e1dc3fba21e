"""Seats: each process of a folder has a number, the lowest that was free, until it ends in any way.

A seat is a lock on one byte of a file, which the kernel takes back with the process (POSIX record locks: a fork does
not inherit them). Whoever sits down next goes on with the files of whoever sat there, so files never pile up.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

#: The standard variable of prometheus_client; it reads it, too.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

#: Bytes of this file are seats. It is opened once in a process and never closed: closing it would give all seats back.
LOCKS = "taskbridge.seats"

#: No machine has so many processes.
MOST = 1 << 16

#: What the files of a seat are called: ours, and those of the metrics in the tasks' modules.
OURS, THEIRS = "taskbridge-{}", "seat-{}"

#: Gauges of processes that live; a seat that nobody has is none.
_LIVE = re.compile(r"gauge_live[a-z]*_seat-([0-9]+)\.db")


class Seats:
    """The seats of one folder, and the one of this process.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._file = os.open(os.path.join(folder, LOCKS), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._lock = threading.Lock()
        self._number: int | None = None

    @property
    def number(self) -> int:
        """The seat of this process, taken when it is first asked for."""
        return self._take() if self._number is None else self._number

    def forget(self) -> None:
        """Know of no seat: this is a fork, and the seat is its parent's."""
        self._number, self._lock = None, threading.Lock()

    def clear_live(self) -> None:
        """Remove what processes that are gone have said of themselves while they lived."""
        for file in Path(self.folder).iterdir():
            found = _LIVE.fullmatch(file.name)
            if found and int(found[1]) != self._number and self._got(int(found[1])):
                try:
                    file.unlink(missing_ok=True)
                finally:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, int(found[1]))

    def _take(self) -> int:
        with self._lock:
            if self._number is None:
                number = next(number for number in range(MOST) if self._got(number))
                mark_process_dead(THEIRS.format(number), self.folder)
                self._number = number
            return self._number

    def _got(self, number: int) -> bool:
        with suppress(BlockingIOError, PermissionError):  # which of them is up to the system
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            return True
        return False


@cache
def seats_of(folder: str) -> Seats:
    """Return the seats of a folder, the same in all of this process.

    Raises:
        OSError: it cannot be written.
    """
    seats = Seats(folder)
    os.register_at_fork(after_in_child=seats.forget)
    return seats


def seat_metrics() -> None:
    """Have every metric that is declared from now on, by whomever, kept in the files of its process's seat.

    For a worker's template, before it imports the tasks; their metrics would have files by process id otherwise.
    """
    from prometheus_client import values

    seats = seats_of(os.environ[FOLDER])
    values.ValueClass = values.MultiProcessValue(lambda: THEIRS.format(seats.number))
