"""Release what waits for a newer worker when one has come; after its time it is dead."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..announcement import Announcement, announced
from ..store import Store

log = logging.getLogger("taskbridge.relay")

#: How many messages are moved at a time.
BATCH = 500


@dataclass(frozen=True, slots=True)
class ReleaseParked:
    """The duty towards messages that wait for a task or an argument; ``tell`` is told of those that died of it."""

    store: Store
    tell: Callable[[Sequence[str]], None] = lambda _ids: None

    def __call__(self) -> int:
        overdue = self.store.parked.overdue(BATCH)
        for id in overdue:
            log.warning("%s waited too long for a worker that knows it: dead", id)
        self.tell(overdue)
        groups = self.store.parked.groups()
        if not groups:
            return len(overdue)
        workers = announced(self.store)
        known = [group for group in groups if any(_knows(worker, group) for worker in workers)]
        return len(overdue) + sum(self.store.parked.release(group, BATCH) for group in known)


def _knows(worker: Announcement, group: str) -> bool:
    """Whether a worker has the task and the keyword arguments that a group waits for."""
    task, *missing = group.split(" ")
    keywords = worker.tasks.get(task)
    return keywords is not None and ("**" in keywords or set(missing) <= set(keywords))
