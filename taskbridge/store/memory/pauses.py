"""What is paused in memory, and who waits for it; what that part of record.lua is in Redis.

Whoever calls a method holds the lock of ``Records``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .records import Entry, Records


@dataclass(slots=True, kw_only=True)
class Paused:
    """One thing that is paused; ``resumed`` while some of what waited for it is yet to go on."""

    at_ms: int
    who: str
    why: str
    resumed: bool = False


@dataclass(slots=True)
class Pauses:
    """By what is paused, "task NAME", "queue NAME" or "key KEY": how, and who waits for it, with their turns."""

    records: Records
    said: dict[str, Paused] = field(default_factory=dict)
    waiting: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    def refusing(self, entry: Entry, task: str, keys: list[str]) -> str:
        """What it must wait for, because it is paused or somebody waits for it before; empty when nothing is."""
        for subject in (f"task {task}", f"queue {entry.queue}", *(f"key {key}" for key in keys)):
            said = self.said.get(subject)
            if said and not (said.resumed and self.records.needs.first(self.waiting[subject], entry)):
                return subject
        return ""

    def wait_at(self, entry: Entry, subject: str) -> None:
        """Into the list of those that wait for this to be resumed."""
        entry.at = subject
        self.waiting[subject][entry.id] = self.records.needs.take_turn(entry)

    def leave(self, entry: Entry) -> None:
        """It waits no more."""
        self.waiting[entry.at].pop(entry.id, None)
        entry.at = ""

    def let_on(self, limit: int) -> tuple[int, int]:
        """Let so many go on that wait for what is resumed; returns how many may, and how many are left."""
        on, behind = 0, 0
        for subject in [subject for subject, said in self.said.items() if said.resumed]:
            waiting = self.waiting[subject]
            for id in sorted(waiting, key=lambda id: (waiting[id], id))[: limit - on]:
                entry = self.records.read(id)
                waiting.pop(id, None)
                if entry.state == "PAUSED":
                    self.records.let_on(entry)
                    on += 1
            behind += len(waiting)
            if not waiting:
                del self.said[subject]
        return on, behind
