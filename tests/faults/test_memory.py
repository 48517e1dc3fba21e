"""Children that hold too much, or have served long enough: replaced, and nothing is lost."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable

import pytest

from ..servers import until
from .evidence import Tally
from .harness import PATIENCE_S, Stage, Worker

pytestmark = pytest.mark.service("redis")

CAP_MB = 150


def replaced(worker: Worker) -> list[str]:
    """Why children went, as the log says."""
    return re.findall(r"INFO .*: child \d+ goes and is replaced: (.*)", worker.read())


def warnings(worker: Worker) -> list[str]:
    """Those of its log; a busy machine may keep the store from answering in time."""
    return [line for line in worker.read().splitlines() if "WARNING" in line and "is away" not in line]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [400, pytest.param(5_000, marks=pytest.mark.soak)])
def test_a_leak_is_held_under_the_cap(stage: Stage, count: int, figures: Callable[[Tally], None]):
    """A task that keeps 1 MiB: no child is ever over the cap by more than one task; nothing lost, nothing repeated."""
    producer, began_s = stage.producer(), time.monotonic()
    worker = stage.worker(options=["--max-memory-mb", str(CAP_MB)])
    producer.send_all("leak", range(count))

    stage.until_done(producer.sent)

    lines = (stage.evidence.folder / "memory").read_text().splitlines()
    seen = [(pid, float(mb)) for pid, mb in map(str.split, lines)]
    tally = stage.evidence.tally(producer.sent, time.monotonic() - began_s)
    tally.more = {"most_mb": max(mb for _, mb in seen), "children": len({pid for pid, _ in seen})}
    figures(tally)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
    assert tally.more["most_mb"] <= CAP_MB + 2, tally
    over = Counter(pid for pid, mb in seen if mb > CAP_MB)
    assert {1} == set(over.values()), "the task that crosses the cap is the child's last"
    assert tally.more["children"] > 2
    assert all(
        re.fullmatch(rf"it holds \d+ MiB after \d+ tasks, over max_memory_mb={CAP_MB}", why) for why in replaced(worker)
    )
    assert [] == warnings(worker), "a child that is replaced is no failure"


def test_a_task_over_the_hard_cap_counts_a_crash(stage: Stage):
    """Its process is ended at once; after its crashes it is dead, and what stands beside it runs."""
    producer = stage.producer()
    worker = stage.worker(options=["--hard-memory-mb", "250"])
    producer.send("hog", [0])
    producer.send_all("plain", range(1, 101), 0.01)

    (letter,) = until(lambda: producer.bridge.store.dead.list(9), PATIENCE_S, "a dead letter")
    stage.until_done(range(1, 101))

    assert (2, 1, 2) == (letter.crashes, letter.attempt, letter.starts)
    assert 2 == len(
        re.findall(rf"is ended: it holds \d+ MiB, over hard_memory_mb=250; it ran {letter.id}", worker.read())
    )
    tally = stage.evidence.tally(range(1, 101), 0)
    assert (0, 0) == (tally.lost, tally.doubled), tally
    assert 2 == len(stage.evidence.starts[0])


def test_a_child_goes_after_its_tasks(stage: Stage):
    """With the reason, at once replaced each time, and nothing is lost or repeated."""
    producer = stage.producer()
    worker = stage.worker(options=["--max-tasks", "7"])
    producer.send_all("plain", range(100), 0.001)

    stage.until_done(producer.sent)

    tally = stage.evidence.tally(producer.sent, 0)
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
    until(lambda: len(replaced(worker)) >= 100 // 7 - 1, PATIENCE_S, "all that are due have gone")
    assert {"it has run 7 tasks, as max_tasks says"} == set(replaced(worker))
    assert [] == warnings(worker)
