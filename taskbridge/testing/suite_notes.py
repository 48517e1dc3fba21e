"""What the tasks of ``BackendSuite`` write down: one JSON line each, in a file that the environment names."""

from __future__ import annotations

import json
import os
from typing import Any

from ..clock import SystemClock
from ..current import current

#: The environment variable that names the file; not one of ours, for `taskbridge check` refuses those it does not know.
NOTES = "BACKEND_SUITE_NOTES"

QUEUE = "suite"

_clock = SystemClock()


def note(what: str, **more: Any) -> None:
    """Append a line: what happened, when, in which attempt of which message."""
    me = current()
    append({"what": what, "id": me.id, "attempt": me.attempt, **more})


def append(line: dict[str, Any]) -> None:
    """Append a line with its instant and its process."""
    with open(os.environ[NOTES], "a") as file:
        file.write(json.dumps({"at_ms": _clock.now_ms(), "pid": os.getpid(), **line}) + "\n")
