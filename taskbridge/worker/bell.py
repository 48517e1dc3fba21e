"""The bell: a pipe by which whoever sees work wakes an idle child. Non-blocking at both ends."""

from __future__ import annotations

import logging
import os
import select
import signal
from collections.abc import Sequence

log = logging.getLogger("taskbridge.worker")


class Bell:
    """Wakes one idle child per ring. A pipe that all children of a worker share, and one of the child's own."""

    def __init__(self, shared: tuple[int, int]) -> None:
        self._hear, self._strike = shared
        self._own, self._signals = os.pipe()
        os.set_blocking(self._own, False)
        os.set_blocking(self._signals, False)
        signal.set_wakeup_fd(self._signals, warn_on_full_buffer=False)

    def wait(self, timeout_s: float, ears: Sequence[int] = ()) -> None:
        """Wait for a ring or a signal, or until one of these file descriptors can be read, at most so long."""
        ready, _, _ = select.select([self._hear, self._own, *ears], [], [], timeout_s)
        for end in ready:
            if end in (self._hear, self._own):
                take(end, 1 if end == self._hear else 64)

    def ring(self) -> None:
        """Wake one child."""
        strike(self._strike)


def strike(end: int) -> None:
    """Put one token into the pipe of a bell; a full pipe rings anyway."""
    try:
        os.write(end, b".")
    except BlockingIOError:
        log.debug("the bell is full of rings")


def take(end: int, most: int) -> None:
    """Take tokens out of the pipe of a bell; another child may have been faster."""
    try:
        os.read(end, most)
    except BlockingIOError:
        log.debug("another child has heard the bell")
