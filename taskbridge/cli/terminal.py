"""The alternate screen of a terminal, drawn by what has changed, and the terminal as it was before, however it ends.

At most one frame is on its way: over a slow link others are left out, never queued. Nothing here waits for the link;
what reads keys waits for both. Signals only leave a mark: the loop looks at it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, Self

from ..clock import Clock

#: The other screen, without its cursor, lines not wrapped; and back, behind a byte that ends what was cut in two.
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J", "\x18\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"

STYLES = {"": "", "bold": "\x1b[1m", "dim": "\x1b[2m", "reverse": "\x1b[7m"}

#: What ends the view, what stops and continues it, and what changes its size.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OTHERS = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)

#: How long a link that is stuck may take for the last words, seconds.
LAST_WORDS_S = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a frame: text that steers nothing, and how it stands there."""

    text: str = ""
    style: str = ""


@dataclass(slots=True)
class Marks:
    """What signals have asked for. ``ended`` is the one that ends the view, 0 while none does."""

    ended: int = 0
    stop: bool = False
    again: bool = False


@dataclass(slots=True)
class Terminal:
    """The terminal that standard input and output are. ``sent`` counts bytes, ``frames`` the frames that were drawn."""

    clock: Clock
    sent: int = 0
    frames: int = 0
    marks: Marks = field(default_factory=Marks)
    _shown: list[Line] = field(default_factory=list)
    _rest: bytes = b""
    _before: list[Any] = field(default_factory=list)
    _handlers: dict[int, Any] = field(default_factory=dict)
    _pipe: tuple[int, int] = (-1, -1)
    _out: int = -1
    _shared: bool = False
    _wakeup: int = -1

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(sys.stdin.fileno())
        self._out, self._shared = _way_out()
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, self._signalled) for number in (*ENDING, *OTHERS)}
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for descriptor in (*self._pipe, self._out):
            os.close(descriptor)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return os.get_terminal_size(sys.stdout.fileno())

    @property
    def shows(self) -> bool:
        """Whether a frame is there: not at first, and not when the screen has another size or was left."""
        return bool(self._shown)

    @property
    def busy(self) -> bool:
        """Whether a frame is on its way yet: the next is not drawn before it has gone."""
        return bool(self._rest)

    def draw(self, frame: Sequence[Line]) -> None:
        """Send what differs from the frame that is shown."""
        rows = max(len(frame), len(self._shown))
        lines = [*frame, *[Line()] * (rows - len(frame))]
        shown = [*self._shown, *[Line()] * (rows - len(self._shown))]
        changes = "".join(change(n, old, new) for n, (old, new) in enumerate(zip(shown, lines, strict=True)))
        self._shown, self._rest = list(frame), changes.encode()
        self.frames += 1
        self._push()

    def key(self, within_s: float, *more: int) -> str:
        """Wait for a key, a signal, the link or what else is named; returns the key, or nothing."""
        heard = [sys.stdin.fileno(), self._pipe[0], *more]
        found, ready, _ = select.select(heard, [self._out] if self._rest else [], [], max(0.0, within_s))
        if self._pipe[0] in found:
            _drained(self._pipe[0])
        if ready:
            self._push()
        if self.marks.stop:
            self._pause()
        if self.marks.again:
            self.marks.again = False
            self._end()
            self._begin()
        if sys.stdin.fileno() not in found:
            return ""
        typed = os.read(sys.stdin.fileno(), 32)
        if not typed:
            self.marks.ended = signal.SIGHUP  # nobody types there any more
        return typed.decode(errors="replace")

    def _begin(self) -> None:
        tty.setcbreak(sys.stdin.fileno(), termios.TCSANOW)
        self._shown, self._rest = [], ENTER.encode()
        if self._shared:
            os.set_blocking(self._out, False)
        self._push()

    def _end(self) -> None:
        """Leave the screen, whatever is on its way."""
        self._rest = LEAVE.encode()
        until_s = self.clock.monotonic_s() + LAST_WORDS_S
        while self._rest and (left_s := until_s - self.clock.monotonic_s()) > 0:
            select.select([], [self._out], [], left_s)
            self._push()
        if self._shared:
            os.set_blocking(self._out, True)
        try:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._before)
        except termios.error:
            self._rest = b""  # the terminal itself is gone

    def _pause(self) -> None:
        """Rest as a job of the shell, its terminal as it was, until it is brought to the front again."""
        self.marks.stop = False
        self._end()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._signalled)
        self.marks.again = False
        self._begin()

    def _push(self) -> None:
        try:
            sent = os.write(self._out, self._rest)
        except BlockingIOError:
            return
        except OSError:  # the terminal is gone
            self.marks.ended, self._rest = signal.SIGHUP, b""
            return
        self.sent += sent
        self._rest = self._rest[sent:]

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if number in ENDING:
            self.marks.ended = number
        elif number == signal.SIGTSTP:
            self.marks.stop = True
        else:
            self.marks.again = True


def change(row: int, old: Line, new: Line) -> str:
    """Return what makes one line of another: only from where they differ to where they do no more."""
    if old == new:
        return ""
    start, end = 0, len(new.text)
    narrow = old.text.isascii() and new.text.isascii()  # a letter may be two columns wide
    if narrow and old.style == new.style:
        while start < min(len(old.text), end) and old.text[start] == new.text[start]:
            start += 1
        while len(old.text) == len(new.text) and end > start and old.text[end - 1] == new.text[end - 1]:
            end -= 1
    clear = "\x1b[K" if len(new.text) < len(old.text) or not narrow else ""
    styled = STYLES[new.style] + new.text[start:end] + ("\x1b[0m" if new.style else "")
    return f"\x1b[{row + 1};{start + 1}H{styled}{clear}"


def _way_out() -> tuple[int, bool]:
    """Open the terminal for ourselves, so that not waiting is no matter of the shell's; whether that could not be done.

    It cannot where it is another user's, as under ``sudo -u``: then it waits for nobody while it is drawn on.
    """
    try:
        return os.open(os.ttyname(sys.stdout.fileno()), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY), False
    except OSError:
        return os.dup(sys.stdout.fileno()), True


def _drained(descriptor: int) -> None:
    try:
        while os.read(descriptor, 512):
            pass
    except BlockingIOError:
        return
