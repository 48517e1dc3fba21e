"""A mailing to all users: it begins at once, never floods the queue, needs no more memory, and leaves nobody out."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import psutil
import pytest

from ..servers import Progress, fastest
from .evidence import Tally
from .harness import QUEUE, Stage

pytestmark = pytest.mark.service("redis")

MODULE = "tests.faults.flood_tasks"

#: As in ``flood_tasks``, which only workers import.
SIZE, MAX_BACKLOG = 1_000, 5_000

#: What relay and workers may grow by after the first messages, MiB: all of them together.
GROWTH_MIB = 20.0


def flood(stage: Stage, users: int, patience_s: float) -> Tally:
    """Mail to so many users with two processes; look at it twenty times a second."""
    worker = stage.worker(tasks=MODULE, environment={"FAULTS_TOTAL": str(users)})
    bridge = stage.producer().bridge
    family = [psutil.Process(pid) for pid in worker.everyone()]
    began_s, first_s = time.monotonic(), 0.0
    run = bridge.external(f"{MODULE}.mail_all", queue=QUEUE).enqueue().id
    most_open, resident, progress = 0, [], Progress()
    deadline_s = began_s + patience_s
    while (state := bridge.store.runs.look(run)) is None or state.state == "running" or state.open:
        assert time.monotonic() < deadline_s, f"expected the run to end within {patience_s} s: {state}"
        if state and state.enqueued:
            first_s = first_s or time.monotonic() - began_s
            most_open = max(most_open, state.open)
            resident.append(sum(process.memory_info().rss for process in family) / 2**20)
            progress.say(partial("{0.enqueued:,} of {1:,} enqueued, {0.open:,} open".format, state, users))
        time.sleep(0.05 if first_s else 0.002)
    seconds = time.monotonic() - began_s
    mailed: Counter[int] = Counter()
    for path in stage.evidence.folder.glob("mailed-*"):
        mailed.update(array("I", path.read_bytes()))
    tenth = len(resident) // 10
    return Tally(
        sent=users,
        lost=users - len(mailed),
        repeated=0,
        doubled=sum(mailed.values()) - len(mailed),
        seconds=round(seconds, 1),
        more={
            "state": state.state,
            "first after s": round(first_s, 3),
            "most open": most_open,
            "growth MiB": round(max(resident[tenth:]) - resident[tenth], 1),
            "a second": round(users / seconds),
        },
    )


def first_after_s(stage: Stage, users: int, patience_s: float, figures: Callable[[Tally], None]) -> float:
    """When the first of a mailing is enqueued, which is right in all else."""
    tally = flood(stage, users, patience_s)
    figures(tally)
    assert ("done", 0, 0) == (tally.more["state"], tally.lost, tally.doubled), tally
    assert 0 < tally.more["most open"] <= MAX_BACKLOG + SIZE, tally
    assert tally.more["growth MiB"] < GROWTH_MIB, tally
    return float(tally.more["first after s"])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("users", [10_000, pytest.param(50_000, marks=pytest.mark.soak)])
def test_mailing_to_many_users_never_floods(
    engine: str, tmp_path: Path, users: int, figures: Callable[[Tally], None]
) -> None:
    """Each user once, the first within a second, and never more under way than the backlog and one chunk."""
    turns = count()

    def measured() -> float:
        with Stage(engine, tmp_path / f"stage-{next(turns)}") as stage:
            return first_after_s(stage, users, 120, figures)

    assert fastest(1, measured) < 1


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_mailing_to_2_000_000_users_never_floods(stage: Stage, figures: Callable[[Tally], None]) -> None:
    """The mailing of which the project's talk tells."""
    assert first_after_s(stage, 2_000_000, 3_600, figures) < 1
