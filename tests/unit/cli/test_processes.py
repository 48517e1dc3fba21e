"""``taskbridge relay`` and ``taskbridge worker`` as processes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taskbridge import Bridge
from taskbridge.announcement import announced
from taskbridge.testing import a_message
from tests.servers import until

from .conftest import Cli


@contextmanager
def running(words: list[str], log: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A verb in a process of its own, ended by SIGTERM."""
    command = [sys.executable, "-m", "taskbridge", *words]
    environment = os.environ | {f"TASKBRIDGE_{name}": value for name, value in variables.items()}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_relay_publishes_until_it_is_told_to_stop(cli: Cli, bridge: Bridge, tmp_path: Path, how: signal.Signals):
    """It moves what is due, only warns of a variable it does not know, and ends by a signal with exit code 0."""
    log = tmp_path / "log"
    bridge.store.outbox.put([a_message(queue="emails")], 100)

    with running(["relay"], log, TYPO="1") as process:
        until(lambda: bridge.backend("celery").depth("emails") == 1, 60, "the message to be published")
        process.send_signal(how)
        code = process.wait(60)

    assert 0 == code, log.read_text()
    assert "WARNING taskbridge.relay: the environment variable TASKBRIDGE_TYPO means nothing" in log.read_text()
    assert bridge.store.leader.hold("relay", "another", 1_000)


def test_relay_waits_for_a_server_that_is_away(cli: Cli, nowhere: str, tmp_path: Path):
    """It says so, without the password, and goes on trying."""
    log = tmp_path / "log"

    with running(["relay"], log, BROKER_URL=nowhere) as process:
        until(lambda: "is away" in log.read_text(), 60, "the relay to say what is away")
        alive = process.poll() is None

    assert alive
    assert "hush" not in log.read_text()


def test_worker_says_what_it_does_not_serve(cli: Cli, bridge: Bridge, tmp_path: Path, engine: str):
    """Messages of the other engine in queues of its names: how many, and how to serve them."""
    log = tmp_path / "log"
    other = {"celery": "dramatiq", "dramatiq": "celery"}[engine]
    bridge.backend(other).publish([a_message(queue="slow") for _ in range(3)])

    with running(["worker", "app", "--processes", "1"], log, BACKEND=engine):
        until(lambda: "does not serve" in log.read_text(), 60, "the worker to say what it does not serve")

    told = f"{other}'s queue 'slow' holds 3 messages that this worker does not serve: start it with --backends "
    assert told + f"{engine},{other}" in log.read_text()


def test_a_terminal_that_is_closed_ends_the_worker(cli: Cli, bridge: Bridge):
    """It sends the signal that asks for a reload; nobody asked, and nobody is left to end the worker."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "taskbridge", "worker", "app", "--processes", "1"])
    try:
        said = b""
        while b"serving" not in said:
            said += os.read(terminal, 1000)
        until(lambda: announced(bridge.store), 20, "it is announced")

        os.close(terminal)

        assert (pid, 0) == until(lambda: (ended := os.waitpid(pid, os.WNOHANG))[0] and ended, 60, "it has ended")
        assert [] == announced(bridge.store)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
