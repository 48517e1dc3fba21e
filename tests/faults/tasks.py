"""The tasks of the fault tests. What they did stands where taskbridge cannot count: in a file and in a database.

A line of the file is a word, a number and the instant; one write each, so that a kill leaves it whole or not at all.
Imported by workers only, which are told the folder by ``FAULTS_EVIDENCE``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from functools import cache
from pathlib import Path

from taskbridge import Backoff, Lock, RateLimit, current, default_bridge, task

FOLDER = Path(os.environ["FAULTS_EVIDENCE"])

QUEUE = "faults"


@task(queue=QUEUE)
def plain(n: int, seconds: float = 0.02) -> None:
    """Only notes that it ran."""
    note("start", n)
    time.sleep(seconds)
    note("done", n)


@task(queue=QUEUE)
def once(n: int, seconds: float = 0.02) -> None:
    """Has an effect, in the inbox's transaction."""
    note("start", n)
    time.sleep(seconds)
    effect(n)
    note("done", n)


@task(queue=QUEUE, retry=Backoff(max_retries=20, base=0.5, cap=2))
def flaky(n: int, failures: int = 1) -> None:
    """Fails so many times, then has its effect."""
    if current().attempt <= failures:
        note("fail", n)
        raise ConnectionError(f"failure {current().attempt} of {failures}")
    note("start", n)
    effect(n)
    note("done", n)


@task(queue="urgent")
async def urgent(n: int) -> None:
    """Only notes that it ran, in a loop of its own."""
    note("start", n)
    await asyncio.sleep(0.02)
    note("done", n)


@task(queue=QUEUE, max_crashes=2)
def deadly(n: int) -> None:
    """Kills the process that runs it."""
    note("start", n)
    os.kill(os.getpid(), signal.SIGKILL)


@task(queue=QUEUE, rate_limit=RateLimit("70/s", name="provider"))
def paced(n: int) -> None:
    """Notes when the store let it begin."""
    record = default_bridge.store.messages.look(current().id)
    assert record is not None
    os.write(_file(), f"start {n} {record.begun_ms / 1000:.3f}\ndone {n} {time.time():.6f}\n".encode())


@task(queue=QUEUE, lock=Lock("counter:{counter}"), retry=Backoff(max_retries=50, base=0.1, cap=0.5), max_crashes=50)
def counted(n: int, counter: int, seconds: float = 0.01) -> None:
    """Reads, waits and writes under a lock: a resource that refuses a lower fencing token than it has seen."""
    note("start", n)
    token = current().fencing_token
    with sqlite3.connect(FOLDER / "counters.sqlite3", timeout=30, isolation_level=None) as database:
        presented = database.execute(
            "UPDATE counters SET token = ? WHERE n = ? AND token <= ?", (token, counter, token)
        ).rowcount
        if not presented:
            raise ConnectionError("a later holder was here")
        (value,) = database.execute("SELECT value FROM counters WHERE n = ?", (counter,)).fetchone()
        time.sleep(seconds)
        database.execute("BEGIN IMMEDIATE")
        written = database.execute(
            "UPDATE counters SET value = ? WHERE n = ? AND token = ?", (value + 1, counter, token)
        ).rowcount
        if written:
            database.execute("INSERT INTO written VALUES (?, ?)", (counter, n))
        database.execute("COMMIT")
        if not written:
            raise ConnectionError("a later holder was here")
    note("done", n)


@task(queue=QUEUE, lock=[Lock("account:{source}"), Lock("account:{target}")])
def transferred(n: int, source: int, target: int) -> None:
    """Is alone in both accounts, or fails."""
    note("start", n)
    entered = []
    for account in sorted((source, target)):
        os.close(os.open(FOLDER / f"account-{account}", os.O_CREAT | os.O_EXCL))
        entered.append(account)
    time.sleep(0.002)
    for account in entered:
        (FOLDER / f"account-{account}").unlink()
    note("done", n)


def note(word: str, n: int) -> None:
    """Write down what happened."""
    os.write(_file(), f"{word} {n} {time.time():.6f}\n".encode())


def effect(n: int) -> None:
    """Book a row under the message's inbox."""
    connection = _database()
    with current().inbox(connection) as fresh:
        if fresh:
            connection.execute("INSERT INTO effects (n) VALUES (?)", (n,))


@cache
def _file() -> int:
    return os.open(FOLDER / "lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


@cache
def _database() -> sqlite3.Connection:
    connection = sqlite3.connect(FOLDER / "effects.sqlite3", timeout=60, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    return connection
