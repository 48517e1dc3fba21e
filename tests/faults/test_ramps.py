"""A ramp on real workers: an equal side is raised to the whole, a worse one is taken back by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from taskbridge.announcement import announced
from taskbridge.evidence.judge import Bounds
from taskbridge.migration.book import Migration
from taskbridge.operations import migration
from taskbridge.operations.progress import status
from tests.servers import fastest, until

from .evidence import Tally
from .harness import ENGINES, PATIENCE_S, QUEUE, Producer, Stage

pytestmark = pytest.mark.service("redis")

MODULE = "tests.faults.migration_tasks"

#: How long a task takes on the old side, seconds, and which part of them fails there.
USUAL_S, USUAL_FAILURES = 0.01, 0.01

#: Of one step, seconds.
HOLD_S = 60


@contextmanager
def sending(producer: Producer, rate: float) -> Iterator[None]:
    """Send so many a second meanwhile."""
    over = threading.Event()
    task = producer.bridge.external(f"{MODULE}.judged", queue=QUEUE)

    def send() -> None:
        n, next_s = 0, time.monotonic()
        while not over.wait(max(0.0, next_s - time.monotonic())):
            task.enqueue(n, user_id=n)
            n, next_s = n + 1, next_s + 1 / rate

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ramped(
    folder: Path, *, seconds: float, failures: float, steps: list[float], hold_s: int, patience_s: float
) -> Tally:
    """Ramp from celery to a dramatiq whose tasks take so long and fail so often; returns how it ended, and when."""
    sides = {"celery": (USUAL_S, USUAL_FAILURES), "dramatiq": (seconds, failures)}
    with Stage("celery", folder) as stage:
        for engine in ENGINES:
            took_s, failed = sides[engine]
            environment = {"FAULTS_SECONDS": str(took_s), "FAULTS_FAILURES": str(failed), "FAULTS_TOTAL": "0"}
            stage.worker(engine=engine, processes=2, tasks=MODULE, environment=environment)
        producer = stage.producer()
        bridge = producer.bridge
        served = "both are served"
        until(
            lambda: {name for one in announced(bridge.store) for name in one.backends} >= {*ENGINES}, PATIENCE_S, served
        )
        migration.start(bridge, origin="celery", target="dramatiq", tasks=[f"{MODULE}.judged"], key="{user_id}")
        with sending(producer, 100):
            migration.ramp(bridge, steps, hold_s * 1000, Bounds())
            began_s = time.monotonic()

            def ended() -> Migration | None:
                now = status(bridge).migration
                return now if now.state != "ramping" else None

            found = until(ended, patience_s, "the ramp ends")
            took_s = time.monotonic() - began_s
    last = found.steps[-1]
    return Tally(
        sent=0, lost=0, repeated=0, doubled=0, seconds=round(took_s, 1), more={"share": found.share, "why": last.why}
    )


def test_failing_side_is_taken_back(tmp_path: Path, figures: Callable[[Tally], None]):
    """A third of its attempts fail: it is not even held to the end of its first step."""
    tally = ramped(tmp_path / "stage", seconds=USUAL_S, failures=0.33, steps=[20, 100], hold_s=HOLD_S, patience_s=90)

    figures(tally)
    assert 0.0 == tally.more["share"], tally
    assert "of attempts fail" in tally.more["why"], tally
    assert tally.seconds < HOLD_S, tally


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("seconds", "failures", "share"),
    [
        pytest.param(3 * USUAL_S, USUAL_FAILURES, 0.0, id="three times slower"),
        pytest.param(USUAL_S, USUAL_FAILURES + 0.05, 0.0, id="five points more failures"),
        pytest.param(USUAL_S, USUAL_FAILURES, 100.0, id="equal"),
    ],
)
def test_ramp_at_a_hundred_a_second(
    tmp_path: Path, seconds: float, failures: float, share: float, figures: Callable[[Tally], None]
):
    """A worse side is taken back within two holds; an equal one is raised to the whole."""
    steps: list[float] = [1, 5, 25, 50, 100]
    tally = ramped(tmp_path / "stage", seconds=seconds, failures=failures, steps=steps, hold_s=HOLD_S, patience_s=600)

    figures(tally)
    assert share == tally.more["share"], tally
    assert share or tally.seconds <= 2 * HOLD_S, tally


@pytest.mark.parametrize(("default", "other"), [ENGINES, ENGINES[::-1]])
def test_rollback_holds_within_two_seconds(tmp_path: Path, default: str, other: str, figures: Callable[[Tally], None]):
    """From the command to the last new message on the side that is left."""
    turns = count()

    def held_after_s() -> float:
        tally = rolled_back(tmp_path / f"stage-{next(turns)}", default, other)
        figures(tally)
        return tally.seconds

    assert fastest(2.0, held_after_s) < 2.0


def rolled_back(folder: Path, default: str, other: str) -> Tally:
    """Roll back while a producer sends; how long the side that is left was sent to."""
    with Stage(default, folder) as stage:
        environment = {"FAULTS_SECONDS": "0", "FAULTS_FAILURES": "0", "FAULTS_TOTAL": "0"}
        worker = stage.worker(
            processes=1, tasks=MODULE, environment=environment, options=["--backends", "celery,dramatiq"]
        )
        producer = stage.producer()
        bridge = producer.bridge
        until(lambda: announced(bridge.store), PATIENCE_S, "it is served")
        migration.start(bridge, origin=default, target=other)
        migration.share(bridge, 100)
        worker.stop()
        with sending(producer, 200):
            until(lambda: bridge.backend(other).depth(QUEUE) > 200, PATIENCE_S, "the other side is sent to")
            began_s = time.monotonic()
            migration.rollback(bridge)
            lasts = [(began_s, bridge.backend(other).depth(QUEUE))]
            while time.monotonic() < began_s + 4:
                depth = bridge.backend(other).depth(QUEUE)
                if depth != lasts[-1][1]:
                    lasts.append((time.monotonic(), depth))
                time.sleep(0.005)
    return Tally(sent=lasts[-1][1], lost=0, repeated=0, doubled=0, seconds=round(lasts[-1][0] - began_s, 2))
