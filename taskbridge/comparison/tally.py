"""What records come to: how long messages waited and ran, which have ended and how often. Pure.

Records of different processes come in no order, so nothing here depends on it. Instants are microseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .records import AGAIN, BEGUN, DEAD, DONE, DROPPED, RETRIED, SENT, Record

ENDS = (DONE, DEAD, DROPPED)


@dataclass(slots=True)
class Life:
    """One message. ``due_us`` is when it could first have run, as far as is known; ``ended_us`` is 0 until it ends."""

    task: str
    queue: str
    due_us: int
    begun_us: int = 0
    ended_us: int = 0
    ends: int = 0

    @property
    def again(self) -> int:
        """How often it ended, or was begun, after it had ended."""
        return max(self.ends - 1, int(0 < self.ended_us < self.begun_us))


@dataclass(slots=True)
class Tally:
    """All messages of a run, by id, and what was seen of them. Spans are of attempts."""

    lives: dict[str, Life] = field(default_factory=dict)
    queue_ms: list[float] = field(default_factory=list)
    run_ms: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    first_us: int = 0
    ended: int = 0

    def add(self, records: Iterable[Record]) -> None:
        """Take more records in."""
        for record in records:
            self._add(record)

    def _add(self, record: Record) -> None:
        kind, at_us = record.kind, record.at_us
        self.kinds[kind] += 1
        due_us = at_us + round(record.span_ms * 1000 * {SENT: 1, BEGUN: -1}.get(kind, 0))
        life = self.lives.get(record.id)
        if life is None:
            life = self.lives[record.id] = Life(record.task, record.queue, due_us)
        life.due_us = min(life.due_us, due_us)
        self.first_us = min(self.first_us or due_us, due_us, at_us)
        if kind == BEGUN:
            life.begun_us = max(life.begun_us, at_us)
            self.queue_ms.append(record.span_ms)
        elif kind in (DONE, DEAD, RETRIED, AGAIN):
            self.run_ms.append(record.span_ms)
        if kind in ENDS:
            life.ends += 1
            self.ended += life.ends == 1
            life.ended_us = min(life.ended_us or at_us, at_us)

    @property
    def open(self) -> dict[str, Life]:
        """Those that have not ended, by id."""
        return {id: life for id, life in self.lives.items() if not life.ends}

    @property
    def again(self) -> int:
        """How often messages were done, or begun, again after their end."""
        return sum(life.again for life in self.lives.values())

    @property
    def end_to_end_ms(self) -> list[float]:
        """From when each that has ended was due until its end."""
        return [max(0, life.ended_us - life.due_us) / 1000 for life in self.lives.values() if life.ends]

    @property
    def ends_s(self) -> list[float]:
        """When each came to its end, seconds since the first was due, in order."""
        return sorted((life.ended_us - self.first_us) / 1e6 for life in self.lives.values() if life.ends)
