"""Lines: the handler of a process that runs tasks. Each entry is handed to the system whole.

Where many tasks end in a moment, the lines of those that went straight wait for one another, in a worker's children,
``GATHER_MS`` at most: they are made and written together, which costs a third. ``SOME`` are written while the process
waits for its store anyway, ``MOST`` where they are told, and what waits for long by a thread. All else is written at
once, after what waits. Instants are unix milliseconds.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import threading
from collections import deque
from contextlib import suppress
from typing import cast

import msgspec

from ..clock import SystemClock
from ..current import running_here
from ..events import Event
from .formats import JsonFormatter, PlainFormatter, TaskFilter

#: How long lines wait for others, milliseconds, and how many do. A process that is killed loses what waits.
GATHER_MS = 20
MOST = 128

#: So many are worth a call of the system, and made in less time than a store takes to answer.
SOME = 32

#: How much is written at once, bytes: into a file, and elsewhere, where Linux keeps no more together. Source: pipe(7).
TOGETHER, PIPED = 65_536, select.PIPE_BUF

OURS = frozenset({PlainFormatter, JsonFormatter})


class Line(msgspec.Struct, gc=False):
    """One that waits. Nothing in it can lead back to it, so the collector of cycles need not look at a thousand."""

    event: Event
    level: int
    at_ms: int


class Lines(logging.Handler):
    """Writes entries so that processes which write to the same file do not mix theirs.

    Args:
        file: the descriptor it writes to.
        encoding: of the text.
    """

    def __init__(self, file: int, encoding: str) -> None:
        super().__init__()
        self._file = file
        self._encoding = encoding
        self._together = TOGETHER if stat.S_ISREG(os.fstat(file).st_mode) else PIPED
        self._waiting: deque[Line] = deque()
        self._gathers = self._asked = self._goes_on = False
        self._some: threading.Event | None = None
        self._quiet_ms = 0

    def gather(self) -> None:
        """Let lines wait for others from now on, in this process and none that it forks: it ends by ``flush``."""
        self._gathers = True
        os.register_at_fork(after_in_child=self._forget)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.flush()
            self._write(f"{self.format(record)}\n".encode(self._encoding, "backslashreplace"))
        except Exception:
            self.handleError(record)

    def tell(self, event: Event, level: int) -> bool:
        """Write an event's entry as ``emit`` would; returns whether it has: not with a filter or a form of others."""
        filters = self.filters
        if type(self.formatter) not in OURS or level < self.level:
            return False
        if len(filters) != 1 or type(filters[0]) is not TaskFilter:
            return False
        now_ms = _clock.now_ms()
        self._waiting.append(Line(event, level, now_ms))
        if not self._gathers or level > logging.INFO or now_ms >= self._quiet_ms:
            self._quiet_ms = now_ms + GATHER_MS
            self.flush()
            return True
        self._goes_on = level == logging.INFO
        self._see_to_it()
        return True

    def tell_on(self, event: Event) -> bool:
        """Write one more at INFO; returns whether it has: while the last that was told so waits, it waits too.

        So soon after it nobody is asked again who else hears of events, at which level, and in which form.
        """
        if not self._goes_on:
            return False
        self._waiting.append(Line(event, logging.INFO, _clock.now_ms()))
        self._see_to_it()
        return True

    def meanwhile(self) -> bool:
        """Write what waits, if that is some, while something else is waited for; returns whether it has.

        Not in a task: its time may be over at any point, and what was taken to be written would be lost.
        """
        if len(self._waiting) < SOME or running_here() is not None:
            return False
        with suppress(OSError):  # whoever read it is gone: there is nobody to tell
            self.flush()
        return True

    def flush(self) -> None:
        """Write what waits."""
        self._goes_on = False
        if not self._waiting:
            return
        self.acquire()
        try:
            entries: list[bytes] = []
            size, process = 0, os.getpid()
            form = cast("PlainFormatter | JsonFormatter", self.formatter)
            while self._waiting:
                entry = self._entry(form, self._waiting.popleft(), process)
                if entries and size + len(entry) > self._together:
                    self._write(b"".join(entries))
                    entries, size = [], 0
                entries.append(entry)
                size += len(entry)
            self._write(b"".join(entries))
        finally:
            self.release()

    def _entry(self, form: PlainFormatter | JsonFormatter, line: Line, process: int) -> bytes:
        try:
            entry = form.of_event(line.event, line.at_ms, process, logging.getLevelName(line.level))
            return f"{entry}\n".encode(self._encoding, "backslashreplace")
        except Exception:  # the others are written
            self.handleError(logging.makeLogRecord({"msg": f"a {type(line.event).__name__} that cannot be shown"}))
            return b""

    def _write(self, left: bytes) -> None:
        while left:
            left = left[os.write(self._file, left) :]

    def _see_to_it(self) -> None:
        """Have what waits written, in ``GATHER_MS`` at most."""
        if len(self._waiting) >= MOST:
            self.flush()
        elif not self._asked:
            self._asked = True
            (self._some or self._begin()).set()

    def _begin(self) -> threading.Event:
        """Start the thread that writes what waits: there is none in a process whose tasks take their time."""
        self._some = threading.Event()
        threading.Thread(target=self._serve, args=(self._some,), name="log", daemon=True).start()
        return self._some

    def _serve(self, some: threading.Event) -> None:
        while some.wait():
            _clock.sleep(GATHER_MS / 1000)
            some.clear()
            self._asked = False  # before what waits is taken: who adds to it from now on asks again
            with suppress(OSError):  # whoever read it is gone: there is nobody to tell
                self.flush()

    def _forget(self) -> None:
        """This is a fork: what waits is its parent's to write."""
        self._waiting.clear()
        self._gathers, self._goes_on, self._some = False, False, None


_clock = SystemClock()
