"""The processes of a measurement: a worker of either side, and a producer, each fresh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import psutil

from .sides import Side

ROOT = Path(__file__).parents[2]

#: How long a worker may take to end by itself, seconds.
STOP_S = 15.0

#: Variables that would make a run differ from one on a fresh machine, such as PYTHONDONTWRITEBYTECODE.
LEFT_OUT = ("TASKBRIDGE_", "CELERY_", "DRAMATIQ_", "PYTHON")


class Broker(Protocol):
    """Where queues are."""

    directory: Path
    """Where logs may lie."""

    def url(self) -> str:
        """The URL as a user would write it."""


@contextmanager
def worker(side: Side, server: Broker) -> Iterator[psutil.Process]:
    """Run a side's worker inside the block; it and all its children are gone at the end. An error tells its log."""
    with command(side, server, side.command) as process:
        yield process


@contextmanager
def command(side: Side, server: Broker, words: Sequence[str]) -> Iterator[psutil.Process]:
    """Run ``python -m WORDS`` as a side's process inside the block."""
    log = server.directory / "worker.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT, env=_environment(side, server), stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        yield psutil.Process(process.pid)
    except BaseException as error:
        error.add_note(f"the worker's log ends:\n{log.read_text()[-4000:]}")
        raise
    finally:
        _end(process)


def produce(side: Side, server: Broker, *words: str) -> list[float]:
    """Run ``producer.py`` with a side's tasks; returns what it measured."""
    command = [sys.executable, "-m", "tests.benchmarks.producer", side.tasks, *words]
    done = subprocess.run(
        command, cwd=ROOT, env=_environment(side, server), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-4000:]}"
    figures: list[float] = json.loads(done.stdout)
    return figures


@contextmanager
def one_core() -> Iterator[None]:
    """Have what is started inside the block run on one core, where the system can be asked for that."""
    if sys.platform != "linux":
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def plain_environment() -> dict[str, str]:
    """Return the environment without what would make this run differ from others."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(LEFT_OUT)}


def _environment(side: Side, server: Broker) -> dict[str, str]:
    return plain_environment() | {"TASKBRIDGE_BROKER_URL": server.url()} | dict(side.environment)


def _end(process: subprocess.Popen[bytes]) -> None:
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):  # asked before its end: nobody finds an orphan
        family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    process.kill()
    process.wait()
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.kill()
