"""A command in a terminal of its own, as a person sees it: a real pty, and a screen that understands what is sent."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from typing import Any, Self

import pyte

from tests.servers import until


class Pty:
    """Runs a command in a terminal of this size; ``sent`` is all that it has written."""

    def __init__(self, *command: str, columns: int = 80, lines: int = 24, **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._size(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        self.sent = b""
        self.process = subprocess.Popen(
            command,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**os.environ, "TERM": "xterm", **environment},
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 it calls the kernel, once
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size, as a window's border that is drawn does."""
        self.screen.resize(lines, columns)
        self._size(columns, lines)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def read(self, most: int = 65_536, within_s: float = 0.0) -> int:
        """Take what has come over the link, at most so much; returns how much it was."""
        if not select.select([self.master], [], [], within_s)[0]:
            return 0
        found = os.read(self.master, most)
        self.sent += found
        self._stream.feed(found)
        return len(found)

    def sees(self, condition: Callable[[str], Any], what: str, seconds: float = 60) -> str:
        """Wait until the screen is so, and return it."""

        def so() -> str:
            while self.read(within_s=0.01):
                pass
            return self.text if condition(self.text) else ""

        return until(so, seconds, f"{what}, got\n{self.text}")

    def ends(self, seconds: float = 30) -> int:
        """Wait for its end, and return its exit code."""

        def ended() -> bool:
            self.read(within_s=0.01)
            return self.process.poll() is not None

        until(ended, seconds, f"it ends, got\n{self.text}")
        while self.read():
            pass
        return int(self.process.returncode)

    @property
    def text(self) -> str:
        """The screen, line by line."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def is_whole(self) -> bool:
        """Whether it is as it was before: echo, line mode and all; the main screen, with its cursor."""
        last = self.sent.rpartition(b"\x1b[?1049")[2]
        return termios.tcgetattr(self.slave) == self.before and last.startswith(b"l") and not self.screen.cursor.hidden

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def quiet(terminal: Pty, seconds: float) -> int:
    """Take all that comes for so long; returns how much it was."""
    until_s, count = time.monotonic() + seconds, 0
    while (left_s := until_s - time.monotonic()) > 0:
        count += terminal.read(within_s=left_s)
    return count


def _take_terminal() -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
