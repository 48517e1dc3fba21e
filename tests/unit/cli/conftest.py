"""The command line as a user has it: settings in the environment, tasks in a module, a real Redis."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import taskbridge
from taskbridge import Bridge, Settings
from taskbridge.cli import taskbridge as command
from taskbridge.message import Message, encode
from taskbridge.store import Begin, Finish, Store
from taskbridge.store.redis import versions
from tests.servers import RedisServer, free_port

TASKS = """
from datetime import date

from taskbridge import Backoff, task


@task(queue="emails", expires=600, priority=8)
def send_report(user_id: int, day: date = date(2026, 1, 1)) -> None: ...


@task(queue="slow", retry=Backoff(max_retries=0))
def boom(text: str = "") -> None: ...
"""


class Cli:
    """Runs verbs in this process, in a directory that holds the module ``app``."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._patch = patch

    def __call__(self, *words: str, input: str | None = None) -> Result:
        bridge = Bridge()  # the default bridge of a process that has just begun
        for name in ("task", "external", "subscribe"):
            self._patch.setattr(taskbridge, name, getattr(bridge, name))
        self._patch.setattr(taskbridge, "default_bridge", bridge)
        self._patch.setattr("taskbridge.worker.modules.default_bridge", bridge)
        sys.modules.pop("app", None)
        return CliRunner().invoke(command, list(words), input=input, prog_name="taskbridge")

    def json(self, *words: str, code: int = 0) -> Any:
        """Run a verb with ``--json`` and return what it says."""
        result = self(*words, "--json")
        assert code == result.exit_code, result.output
        return json.loads(result.stdout)

    def set(self, **variables: str) -> None:
        """Set ``TASKBRIDGE_`` variables."""
        for name, value in variables.items():
            self._patch.setenv(f"TASKBRIDGE_{name}", value)

    def write(self, name: str, text: str) -> None:
        """Write a file into the directory."""
        (self._directory / name).write_text(text)


@pytest.fixture(params=["celery", "dramatiq"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cli(redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standing: None) -> Iterator[Cli]:
    """On Celery, until a test sets another backend."""
    redis_server.cli().flushall()
    monkeypatch.setattr(versions, "PATIENCE_S", 20.0)  # a store that answers is waited for on a busy machine
    for name in [name for name in os.environ if name.startswith("TASKBRIDGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Cli(tmp_path, monkeypatch)
    made.set(BROKER_URL=redis_server.url())
    made.write("app.py", TASKS)
    yield made
    sys.modules.pop("app", None)


@pytest.fixture
def bridge(cli: Cli, redis_server: RedisServer) -> Iterator[Bridge]:
    """A producer's, on the same settings; both engines are named in it."""
    made = Bridge(Settings(broker_url=redis_server.url()))
    yield made
    made.close()


@pytest.fixture
def nowhere() -> str:
    """The URL of a server that is away."""
    return f"redis://:hush@127.0.0.1:{free_port()}/0"


def begun(store: Store, message: Message, claim: str = "host.1.ab.0.1:celery:1") -> Message:
    """Have a worker begin a message, and nothing more."""
    answer = store.claims.begin(Begin(message=message, body=encode(message), claim=claim, max_crashes=5))
    assert "run" == answer.verdict
    return message


def settled(store: Store, message: Message, state: str, **more: Any) -> Message:
    """Have a worker begin a message and tell what became of it."""
    claim = "host.1.ab.0.1:celery:1"
    begun(store, message, claim)
    assert "ok" == store.claims.finish(Finish(id=message.id, claim=claim, state=state, **more))
    return message
