"""What a drain did, or would do."""

from __future__ import annotations

from collections import Counter

import msgspec

from ..leftovers import NOBODY, Hands


class TaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """Of one task.

    Args:
        task: its name.
        moved: how many messages moved, or would.
        delayed: how many of these wait in the store until they are due.
        copies: how many were copies of what runs, waits or has ended, and are gone.
    """

    task: str
    moved: int = 0
    delayed: int = 0
    copies: int = 0


class Staying(msgspec.Struct, frozen=True, kw_only=True):
    """So many messages of a task stay where they are, and why."""

    task: str
    why: str
    many: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a drain did.

    ``held`` are the messages that the engine's own workers have in hand, of which ``free`` can be moved; ``workers`` is
    how many of them are seen to live, None where the broker does not say; ``hidden`` why they may hold more.
    """

    origin: str
    target: str
    queues: list[str]
    tasks: list[TaskReport]
    staying: list[Staying]
    held: int = 0
    free: int = 0
    workers: int | None = None
    hidden: str = ""
    dry_run: bool = False

    @property
    def moved(self) -> int:
        """How many messages of all tasks."""
        return sum(one.moved for one in self.tasks)

    @property
    def empty(self) -> bool:
        """Whether nothing is left at the origin."""
        return not self.staying and not self.held


class Counts:
    """What is counted on the way, by task."""

    def __init__(self) -> None:
        self.moved: Counter[str] = Counter()
        self.delayed: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self.staying: Counter[tuple[str, str]] = Counter()
        self.hands: Hands = NOBODY

    def dealt(self) -> int:
        """How many messages are out of the origin's queues by now."""
        return self.moved.total() + self.copies.total()

    def report(self, origin: str, target: str, queues: list[str], *, dry_run: bool) -> Report:
        """Return what was counted."""
        tasks = sorted({*self.moved, *self.copies})
        told = [
            TaskReport(task=one, moved=self.moved[one], delayed=self.delayed[one], copies=self.copies[one])
            for one in tasks
        ]
        staying = [Staying(task=task, why=why, many=many) for (task, why), many in sorted(self.staying.items())]
        hands = self.hands
        return Report(
            origin=origin,
            target=target,
            queues=queues,
            tasks=told,
            staying=staying,
            held=hands.held,
            free=hands.free,
            workers=hands.workers,
            hidden=hands.hidden,
            dry_run=dry_run,
        )
