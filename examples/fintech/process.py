"""The demo's own processes: started in the project's folder, stopped in every case, their last words kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What a process may take to end after SIGTERM before it is killed; a worker's own grace is shorter.
STOP_S = 20.0


class ProcessFailed(Exception):
    """A process ended by itself, and not well; says what it wrote last."""


class Process:
    """A running ``python -m ...``, its output in one file and its errors in another.

    Args:
        arguments: what follows ``python -m``.
        environment: all of it.
        output: where its standard output goes; its errors go beside it, as ``.log``.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
        self.name = " ".join(arguments[:2])
        self._log = output.with_suffix(".log")
        with output.open("wb") as out, self._log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=dict(environment),
                cwd=ROOT,
                stdout=out,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the demo, which stops its processes in order
            )
        self.id = self._process.pid

    def ended(self) -> bool:
        """Whether it has ended.

        Raises:
            ProcessFailed: it has, and not well.
        """
        code = self._process.poll()
        if code:
            raise ProcessFailed(f"{self.name} ended with {code}; {self.last_words()}")
        return code is not None

    def reload(self) -> None:
        """Have a worker replace its children, as a deploy of new code does."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Ask it to end, and see that it does, with all that it has started.

        Raises:
            ProcessFailed: it had to be killed.
        """
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise ProcessFailed(f"{self.name} did not end within {STOP_S:.0f} s; it was killed") from None
        finally:
            self._kill_group()
            self._process.wait()

    def last_words(self) -> str:
        """The end of what it has written to its log."""
        return f"the end of its log:\n{self._log.read_text('utf-8', errors='replace')[-3000:] or '(it is empty)'}"

    def _kill_group(self) -> None:
        try:
            os.killpg(self.id, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS says so of a group that has ended
            return


@contextmanager
def started(arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> Iterator[Process]:
    """Have it run inside the block."""
    process = Process(arguments, environment, output)
    try:
        yield process
    finally:
        process.stop()


def answer(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what ``python -m ...`` prints.

    Raises:
        ProcessFailed: it ended badly.
    """
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        check=False, env=dict(environment), cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise ProcessFailed(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
