"""A migration on a store in memory, with both sides served."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge.announcement import Announcement, Known, announce
from taskbridge.evidence.judge import Bounds, Verdict, Word
from taskbridge.migration.book import Evidence, Migration, Ramp, Step
from taskbridge.store import Store
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock

STARTED = Step(at_ms=1, who="ann", what="started", share=0.0)


def a_migration(**words: Any) -> Migration:
    """From celery to dramatiq, of the bank's tasks."""
    fields: dict[str, Any] = {"id": "m1", "origin": "celery", "target": "dramatiq", "tasks": ("bank.*",)}
    return Migration(**(fields | {"steps": (STARTED,)} | words))


def a_ramp(*steps: float, at: int = -1, since_ms: int = 0, hold_ms: int = 60_000) -> Ramp:
    return Ramp(steps=steps or (1, 50, 100), hold_ms=hold_ms, bounds=Bounds(), at=at, since_ms=since_ms)


def evidence(word: Word, *reasons: str, old: int = 1_000, new: int = 1_000) -> Evidence:
    verdict = Verdict(word=word, reasons=reasons, old_ended=old, new_ended=new)
    return Evidence(since_ms=0, until_ms=60_000, verdict=verdict)


KNOWN = {
    "bank.pay": Known(queue="ledger", positional=("user_id",)),
    "bank.report": Known(queue="reports", positional=("user_id", "day")),
    "mail.send": Known(queue="mail", positional=("user_id",)),
}


def live(store: Store, *backends: str, known: dict[str, Known] = KNOWN) -> None:
    """Let one worker live, with all of the tasks."""
    queues = sorted({one.queue for one in known.values()})
    tasks = {task: list(one.positional) for task, one in known.items()}
    announce(
        store,
        Announcement(name="w", backends=list(backends), queues=queues, processes=1, tasks=tasks, known=known),
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)
