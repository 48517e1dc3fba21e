"""What the engines' own commands do with tasks that have timeouts: keep them, or refuse to start and say why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from tests.servers import RedisServer, until

pytestmark = pytest.mark.service("redis")

TASKS = "tests.conformance.limited"

#: How long a command may take to start on a busy machine, seconds.
START_S = 60.0

CELERY = f"celery -A taskbridge_celery.command worker -I {TASKS} -c 1 -Q limited --without-mingle".split()
DRAMATIQ = f"dramatiq taskbridge_dramatiq.command:broker {TASKS} -p 1 -t 1 -Q limited".split()


@contextmanager
def running(command: list[str], url: str, log: Path, options: dict[str, Any], **more: str) -> Iterator[Any]:
    """A command whose task has these options; ended at the end."""
    engine = command[0]
    environment = os.environ | {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": url, **more}
    environment |= {"LIMITED": json.dumps(options)}
    program = str(Path(sys.executable).parent / engine)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, *command[1:]], env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_celerys_own_command_keeps_soft_timeouts(pool: str, redis_server: RedisServer, tmp_path: Path):
    """In the pools that run a task in a main thread."""
    redis_server.cli().flushall()
    bridge = Bridge(Settings(backend="celery", broker_url=redis_server.url()))
    log = tmp_path / "log"

    with running([*CELERY, "-P", pool], redis_server.url(), log, {"timeout": 1}):
        bridge.external("limited.stays", queue="limited").enqueue()
        (letter,) = until(lambda: bridge.store.dead.list(9), START_S, "a dead letter")

    assert "failed 1 times: SoftTimeout: soft timeout after 1 s" == letter.why
    assert "met its soft timeout" in log.read_text()
    bridge.close()


@pytest.mark.parametrize(
    ("command", "options", "more", "why"),
    [
        (
            [*CELERY, "-P", "threads"],
            {"timeout": 0.3},
            {},
            "Celery's pool celery.concurrency.thread cannot keep the timeout",
        ),
        (CELERY, {"hard_timeout": 9}, {}, "Celery's own command cannot keep the hard_timeout of 9 s of limited.stays"),
        (CELERY, {}, {"TASKBRIDGE_HARD_TIMEOUT": "9"}, "Celery's own command cannot keep the hard_timeout of 9 s"),
        (DRAMATIQ, {"timeout": 0.3}, {}, "Dramatiq's own command cannot keep the timeout of 0.3 s of limited.stays"),
        (DRAMATIQ, {"hard_timeout": 9}, {}, "Dramatiq's own command cannot keep the hard_timeout of 9 s"),
    ],
    ids=["celery threads", "celery hard", "celery hard by settings", "dramatiq soft", "dramatiq hard"],
)
def test_what_a_command_cannot_keep_it_refuses_to_start_with(
    command: list[str],
    options: dict[str, Any],
    more: dict[str, str],
    why: str,
    redis_server: RedisServer,
    tmp_path: Path,
):
    """The task is named, and where it can run."""
    log = tmp_path / "log"

    with running(command, redis_server.url(), log, options, **more) as process:
        code = process.wait(START_S)

    assert code, log.read_text()
    assert f"NotSupported: {why}" in log.read_text()
    assert "run it under `taskbridge worker`" in log.read_text()
