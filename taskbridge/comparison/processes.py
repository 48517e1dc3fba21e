"""The processes of a run: in sessions of their own, gone at its end in every case, their last words kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import TaskbridgeError

#: What one may take to end after SIGTERM before it is killed, seconds; a worker's own grace is shorter.
STOP_S = 20.0
GRACE_S = 5

#: How much of a log is told, letters.
LAST_WORDS = 3_000


class ComparisonFailed(TaskbridgeError):
    """A run came to no end; says what was missing."""


class Process:
    """A running ``python -m ...``.

    Args:
        arguments: what follows ``python -m``.
        environment: all of it.
        log: where its standard error goes; a worker's standard output, too.
        talks: whether it reads orders and answers by its standard input and output.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path, *, talks: bool) -> None:
        self._name = " ".join(arguments[:2])
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=dict(environment),
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else errors,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the command, which ends its processes in order
            )
        self.pid = self._process.pid
        self._heard = b""
        if self._process.stdout is not None:
            os.set_blocking(self._process.stdout.fileno(), False)

    def tell(self, line: bytes) -> None:
        """Say a line to one that talks; one that is gone is found out by ``ended``."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()

    def said(self) -> list[bytes]:
        """Return the lines that it has said since it was last asked; does not wait."""
        assert self._process.stdout is not None
        self._heard += self._process.stdout.read() or b""
        *lines, self._heard = self._heard.split(b"\n")
        return lines

    def ended(self) -> bool:
        """Whether it has ended.

        Raises:
            ComparisonFailed: it has, and not well.
        """
        code = self._process.poll()
        if code:
            raise ComparisonFailed(f"{self._name} ended with {code}; {self.last_words()}")
        return code is not None

    def last_words(self) -> str:
        """The end of what it has written to its log."""
        said = self._log.read_text("utf-8", errors="replace")[-LAST_WORDS:]
        return f"its log ends:\n{said}" if said else "its log is empty"

    def stop(self) -> None:
        """Ask it to end, and see that it does, with all that it has started."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):  # it is killed then
                self._process.wait(STOP_S)
        finally:
            self._kill_group()
            self._process.wait()
            for end in (self._process.stdin, self._process.stdout):
                if end is not None:
                    with suppress(BrokenPipeError):
                        end.close()

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS says so of a group that has ended
            return


@contextmanager
def started(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path, *, talks: bool = False
) -> Iterator[Process]:
    """Have it run inside the block."""
    process = Process(arguments, environment, log, talks=talks)
    try:
        yield process
    finally:
        process.stop()
