"""The task of ``TraceCases``: it notes what joins it to who has sent it."""

from __future__ import annotations

import json
from typing import Any

from ..bridge import Bridge
from ..current import current
from ..policies.lock import Lock
from ..policies.retry import Backoff
from ..task import Task
from .suite_notes import QUEUE, note


def traced(before: int = 0, fails: int = 0) -> int:
    """Fail so many times, then succeed."""
    note("traced", trace=json.loads(bytes(current().trace)))
    if current().attempt <= fails:
        raise ValueError(f"attempt {current().attempt}")
    return before + 1


def declare_traced(bridge: Bridge) -> dict[str, Task[..., Any]]:
    """Declare it on a bridge; returns it by name."""
    options = {"retry": Backoff(max_retries=3, base=0.01), "lock": Lock("suite:traced")}
    return {"traced": bridge.task(name="suite.traced", queue=QUEUE, **options)(traced)}
