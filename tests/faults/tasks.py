"""The tasks of the fault tests. What they did stands where taskbridge cannot count: in a file and in a database.

A line of the file is a word, a number and the instant; one write each, so that a kill leaves it whole or not at all.
Imported by workers only, which are told the folder by ``FAULTS_EVIDENCE``.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path

from taskbridge import Backoff, Current, Lock, RateLimit, Retry, SoftTimeout, current, default_bridge, task

FOLDER = Path(os.environ["FAULTS_EVIDENCE"])

QUEUE = "faults"

#: As ``launch`` has them, for the processes that import this.
for place, value in json.loads(os.environ.get("FAULTS_CONSTANTS", "{}")).items():
    setattr(import_module(place.rpartition(".")[0]), place.rpartition(".")[2], value)


@task(queue=QUEUE)
def plain(n: int, seconds: float = 0.02) -> None:
    """Only notes that it ran."""
    note("start", n)
    time.sleep(seconds)
    note("done", n)


@task(queue=QUEUE)
def once(n: int, seconds: float = 0.02, ballast: str = "") -> None:
    """Has an effect, in the inbox's transaction; the ballast makes a message large."""
    note("start", n)
    time.sleep(seconds)
    effect(n)
    note("done", n)


@task(queue=QUEUE)
def held(n: int) -> None:
    """Runs until it is let go, however slow the machine is; then has its effect, in the inbox's transaction."""
    note("start", n)
    while not (FOLDER / f"go-{n}").exists():
        time.sleep(0.01)
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


@task(queue=QUEUE, retry=Backoff(max_retries=1))
def much_later(n: int, seconds: float) -> None:
    """Asks for so long a wait, once, then has its effect."""
    if current().attempt == 1:
        note("fail", n)
        raise Retry("later", after=seconds)
    note("start", n)
    effect(n)
    note("done", n)


@task(queue=QUEUE)
def grips(n: int, seconds: float) -> None:
    """Holds the GIL for about so long: no thread of its process runs meanwhile."""
    note("start", n)
    began_s, count = time.monotonic(), 1_000_000
    sum(range(count))
    count *= max(1, int(seconds / (time.monotonic() - began_s)))
    sum(range(count))
    note("done", n)


@task(queue=QUEUE, max_crashes=50)
def link(n: int, seconds: float = 0) -> int:
    """Gives the next number on."""
    note("start", n)
    time.sleep(seconds)
    note("done", n)
    return n + 1


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


@task(queue=QUEUE, ledger=False)
def light(n: int, seconds: float = 0.02) -> None:
    """Only notes that it ran, and wants no ledger."""
    note("start", n)
    time.sleep(seconds)
    note("done", n)


@task(queue=QUEUE, max_crashes=2, ledger=False)
def light_and_deadly(n: int) -> None:
    """Kills the process that runs it, and wants no ledger."""
    note("start", n)
    os.kill(os.getpid(), signal.SIGKILL)


@task(queue=QUEUE, max_crashes=2, ledger=False)
def light_and_long(n: int) -> None:
    """Stays until its worker is killed, and wants no ledger."""
    note("start", n)
    time.sleep(60)


@task(queue=QUEUE, rate_limit=RateLimit("70/s", name="provider"))
def paced(n: int) -> None:
    """Notes when the store let it begin."""
    record = default_bridge.store.messages.look(current().id)
    assert record is not None
    os.write(_file(), f"start {n} {record.begun_ms / 1000:.3f}\ndone {n} {time.time():.6f}\n".encode())


@task(
    queue=QUEUE,
    timeout=30,
    hard_timeout=60,
    lock=Lock("counter:{counter}"),
    retry=Backoff(max_retries=50, base=0.1, cap=0.5),
    max_crashes=50,
)
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


@task(queue=QUEUE, timeout=30, hard_timeout=60, lock=[Lock("account:{source}"), Lock("account:{target}")])
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


@task(queue=QUEUE, timeout=1, hard_timeout=2, retry=None)
def stays(n: int, how: str) -> None:
    """Takes for ever; notes a failure when it meets its soft timeout."""
    note("start", n)
    try:
        WAYS[how]()
    except SoftTimeout:
        note("fail", n)
        raise


@task(queue=QUEUE, timeout=1, retry=None)
async def stays_waiting(n: int) -> None:
    """Takes for ever in a coroutine."""
    note("start", n)
    try:
        await asyncio.sleep(60)
    except SoftTimeout:
        note("fail", n)
        raise


@task(queue=QUEUE, hard_timeout=0.5, retry=Backoff(max_retries=2, base=0, cap=0))
def stuck(n: int) -> None:
    """Is in C code for ever."""
    note("start", n)
    hold_the_gil()


def hangs(call_next: Callable[[], object], current: Current) -> object:
    """A middleware that never comes to its task."""
    time.sleep(60)
    return call_next()


@task(queue=QUEUE, hard_timeout=0.5, retry=None, middleware=[hangs])
def surrounded(n: int) -> None:
    """Is never entered."""
    note("start", n)


@task(queue=QUEUE, retry=Backoff(max_retries=1, base=0, cap=0))
def patient(n: int, seconds: float) -> None:
    """Has no timeout of its own."""
    note("start", n)
    time.sleep(seconds)
    note("done", n)


@task(queue=QUEUE, retry=None)
def unmoved(n: int) -> None:
    """Goes on, whatever is raised in it."""
    note("start", n)
    while True:
        try:
            time.sleep(60)
        except SoftTimeout:
            note("fail", n)


@task(queue=QUEUE)
def leak(n: int, megabytes: int = 1) -> None:
    """Keeps memory, and notes what its process holds: pid and MiB."""
    note("start", n)
    _kept.append(bytearray(os.urandom(4096) * (megabytes * 256)))
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
    with (FOLDER / "memory").open("a") as file:
        file.write(f"{os.getpid()} {resident:.3f}\n")
    note("done", n)


@task(queue=QUEUE)
def selfish(n: int, seconds: int) -> None:
    """Lets no other thread run meanwhile, then has its effect."""
    note("start", n)
    ctypes.PyDLL(None).sleep(seconds)
    effect(n)
    note("done", n)


@task(queue=QUEUE, max_crashes=1)
def hog(n: int) -> None:
    """Takes more and more."""
    note("start", n)
    held = []
    while True:
        held.append(bytearray(os.urandom(4096) * 256))
        time.sleep(0.002)


def receive() -> None:
    ours, _theirs = socket.socketpair()
    ours.recv(1)


def loop() -> None:
    while True:
        pass


def hold_the_gil() -> None:
    sum(range(10**11))


WAYS = {"sleep": lambda: time.sleep(60), "recv": receive, "loop": loop, "C": hold_the_gil}


def note(word: str, n: int) -> None:
    """Write down what happened."""
    os.write(_file(), f"{word} {n} {time.time():.6f}\n".encode())


def effect(n: int) -> None:
    """Book a row under the message's inbox."""
    connection = _database()
    with current().inbox(connection) as fresh:
        if fresh:
            connection.execute("INSERT INTO effects (n) VALUES (?)", (n,))


#: What ``leak`` never gives back.
_kept: list[bytearray] = []


@cache
def _file() -> int:
    return os.open(FOLDER / "lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


@cache
def _database() -> sqlite3.Connection:
    connection = sqlite3.connect(FOLDER / "effects.sqlite3", timeout=60, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    return connection
