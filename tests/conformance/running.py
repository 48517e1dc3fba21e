"""Workers as real processes: ours, or the engine's own command with a relay beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

#: How long a worker may take to end, seconds, before it is killed.
STOP_S = 30.0


def bands_of(queue: str) -> list[str]:
    """What an engine's own command is told to read for one queue, where no other is beside those of its bands."""
    return [f"{queue}-high", queue, f"{queue}-low"]


def commands_of(engine: str, kind: str, tasks: str, queues: Sequence[str], processes: int = 1) -> list[list[str]]:
    """The commands that run a worker: ``ours``, or ``native``, which is told the names of its queues."""
    n = processes
    if kind == "ours":
        return [["taskbridge", "worker", tasks, "--processes", str(n)]]
    own = {
        "celery": f"celery -A taskbridge_celery.command worker -I {tasks} -c {n} -Q {','.join(queues)}",
        "dramatiq": f"dramatiq taskbridge_dramatiq.command:broker {tasks} -p {n} -t 1 -Q {' '.join(queues)}",
    }
    return [own[engine].split(), ["taskbridge", "relay"]]


@contextmanager
def running(
    commands: list[list[str]], environment: dict[str, str], log: Path, folder: Path | None = None
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run these processes, in ``folder`` when it is given, and end them."""
    processes: list[subprocess.Popen[bytes]] = []
    with log.open("wb") as output:
        for command in commands:
            program = str(Path(sys.executable).parent / command[0])
            processes.append(
                subprocess.Popen(
                    [program, *command[1:]],
                    cwd=folder,
                    env=environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )
        try:
            yield processes
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                try:
                    process.wait(timeout=STOP_S)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
