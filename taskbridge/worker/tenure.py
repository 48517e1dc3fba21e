"""How long a child serves: so many tasks, or until it holds so many MiB. It goes after a task, never in one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger("taskbridge.worker")


class Over(NamedTuple):
    """Why a child is to go: a word of ``slots.LEAVES``, and for the log."""

    word: str
    text: str


class Tenure:
    """The tasks and the memory of one child.

    Args:
        max_tasks: how many it runs; 0 is no limit.
        max_memory_mb: more than this after a task, and it goes; 0 is no limit.
        memory: measures this process, MiB.
    """

    def __init__(self, max_tasks: int, max_memory_mb: int, memory: Callable[[], float]) -> None:
        self._max_tasks = max_tasks
        self._max_memory_mb = max_memory_mb
        self._memory = memory
        self._tasks = 0
        if max_memory_mb and (mb := memory()) > max_memory_mb:
            log.warning("a child holds %.0f MiB before its first task: over max_memory_mb=%d", mb, max_memory_mb)

    def ran(self) -> Over | None:
        """Count a task; returns why the child is to go, or None."""
        self._tasks += 1
        if self._max_tasks and self._tasks >= self._max_tasks:
            return Over("max_tasks", f"it has run {self._tasks} tasks, as max_tasks says")
        if self._max_memory_mb and (mb := self._memory()) > self._max_memory_mb:
            why = f"it holds {mb:.0f} MiB after {self._tasks} tasks, over max_memory_mb={self._max_memory_mb}"
            return Over("max_memory", why)
        return None
