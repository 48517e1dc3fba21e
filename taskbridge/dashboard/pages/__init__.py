"""The pages, in the order of the menu. One file each: what it reads, and its ``PAGE``."""

from __future__ import annotations

from ..page import Page
from . import (
    control,
    dead,
    flows,
    limits,
    locks,
    message,
    messages,
    migration,
    overview,
    queue,
    queues,
    routes,
    runs,
    schedules,
    task,
    tasks,
    workers,
)

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    queues.PAGE,
    queue.PAGE,
    tasks.PAGE,
    task.PAGE,
    workers.PAGE,
    messages.PAGE,
    message.PAGE,
    dead.PAGE,
    locks.PAGE,
    locks.ONE,
    limits.PAGE,
    limits.KEY,
    runs.PAGE,
    runs.ONE,
    flows.BATCHES,
    flows.CHAINS,
    schedules.PAGE,
    routes.PAGE,
    migration.PAGE,
    control.PAUSED,
    control.AUDIT,
)
