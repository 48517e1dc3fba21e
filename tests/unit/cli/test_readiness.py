"""``taskbridge migrate check``, with a module that has tasks of ours and of Celery's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import RedisServer

BANK = """
from celery import Celery

from taskbridge import task

app = Celery("bank")


@app.task(soft_time_limit=20, rate_limit="10/m", acks_late=True)
def pay(user_id: int, note): ...


@task(queue="emails")
def mail(user_id: int) -> None: ...
"""

TOLD = """\
! bank.mail, queue emails: wait
    no live worker on dramatiq takes it from queue emails: start one
→ bank.pay, queue celery: declare
    @task(queue='celery', timeout=20, retry=None, rate_limit=RateLimit('10/m'))
    soft_time_limit=20: SoftTimeout in place of SoftTimeLimitExceeded
    rate_limit='10/m': for each worker there, for all workers together here
    note: annotate, so that a date, Decimal or UUID comes back as one; without, as JSON has it
from celery to dramatiq: 1 wait, 1 declare
"""


@pytest.fixture
def check(redis_server: RedisServer, tmp_path: Path) -> Any:
    """Runs it in a process of its own: what Celery has declared stays in its process."""
    redis_server.cli().flushall()
    (tmp_path / "bank.py").write_text(BANK)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TASKBRIDGE_")}
    environment |= {"TASKBRIDGE_BROKER_URL": redis_server.url()}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "taskbridge", "migrate", "check", *words]
        return subprocess.run(
            command, check=False, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=60
        )

    return run


def test_every_task_is_told_with_what_to_do(check: Any):
    """Ours and Celery's, each with its verdict; nothing is refused, so it is well."""
    done = check("bank", "--to", "dramatiq")

    assert (0, TOLD, "") == (done.returncode, done.stdout, done.stderr)


def test_pipelines_read_json(check: Any):
    """All that is told, and whether one is refused."""
    done = check("bank", "--from", "celery", "--to", "dramatiq", "--json")

    said = json.loads(done.stdout)
    assert (True, "celery", "dramatiq") == (said["ready"], said["origin"], said["target"])
    assert {"bank.mail": "wait", "bank.pay": "declare"} == {one["task"]: one["verdict"] for one in said["tasks"]}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["bank"], 2, "Missing option '--to'"),
        (["--to", "dramatiq"], 2, "Missing argument 'MODULES"),
        (["bank", "--to", "dramatik"], 1, "did you mean 'dramatiq'"),
        (["bank", "--to", "celery"], 1, "expected two backends, got 'celery' twice"),
        (["bnak", "--to", "dramatiq"], 1, "there is no module 'bnak'"),
    ],
)
def test_what_is_put_wrongly_is_refused(check: Any, words: list[str], code: int, told: str):
    """With what to change."""
    done = check(*words)

    assert (code, "") == (done.returncode, done.stdout)
    assert told in done.stderr
