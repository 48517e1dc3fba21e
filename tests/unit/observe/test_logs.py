"""What an operator reads: one line per thing that did not go straight."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from taskbridge.events import (
    ClaimRefused,
    Dropped,
    Event,
    Failed,
    ParkedForRelease,
    Repeated,
    Retried,
    Started,
    Succeeded,
)
from taskbridge.observe.logs import log_event

WHO: dict[str, Any] = {"id": "m", "task": "bank.book", "queue": "ledger", "attempt": 2}


@pytest.mark.parametrize(
    ("event", "level", "line"),
    [
        (Failed(**WHO, why="no route"), "ERROR", "is dead: no route"),
        (Retried(**WHO, after_ms=1_500, why="busy"), "WARNING", "failed and runs again in 1.5 s: busy"),
        (ParkedForRelease(**WHO, why="no task"), "WARNING", "waits for a newer worker: no task"),
        (Dropped(**WHO, how="expired"), "INFO", "is expired: "),
        (ClaimRefused(**WHO), "WARNING", "had lost its claim; its result was refused"),
    ],
)
def test_what_did_not_go_straight_is_logged(event: Event, level: str, line: str, caplog: pytest.LogCaptureFixture):
    """With task, message and attempt."""
    with caplog.at_level(logging.DEBUG, "taskbridge.tasks"):
        log_event(event)

    assert [(level, f"bank.book (m, attempt 2) {line}")] == [
        (one.levelname, one.getMessage()) for one in caplog.records
    ]


@pytest.mark.parametrize("event", [Started(**WHO), Succeeded(**WHO), Repeated(**WHO), Retried(**WHO, counted=False)])
def test_what_went_straight_is_not(event: Event, caplog: pytest.LogCaptureFixture):
    """A line for each success would be twice the work of a small task."""
    with caplog.at_level(logging.DEBUG, "taskbridge.tasks"):
        log_event(event)

    assert [] == caplog.records


def test_a_log_cannot_steer_a_terminal():
    """Whatever a producer has put into a name: it is on standard error, and shows as what it is."""
    program = "from taskbridge.observe.logs import log, set_up_logs; set_up_logs('INFO'); log.warning('a\\x1b[2Jb\\nc')"

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "" == said.stdout
    assert "WARNING taskbridge.tasks: a\\x1b[2Jb\nc" in said.stderr
