"""From one engine to the other and back, in the middle of the work."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from .evidence import Tally
from .harness import ENGINES, Stage

pytestmark = pytest.mark.service("redis")


def effects(numbers: range) -> dict[str, range]:
    """Half of the messages wait, a third is delayed, the rest fails twice before it has its effect."""
    half, two_thirds = len(numbers) // 2, len(numbers) * 4 // 5
    return {"waiting": numbers[:half], "delayed": numbers[half:two_thirds], "retrying": numbers[two_thirds:]}


@pytest.mark.parametrize(("switches", "messages"), [(8, 2_000), pytest.param(20, 5_000, marks=pytest.mark.soak)])
def test_a_switch_of_engine_loses_and_doubles_nothing(
    switches: int, messages: int, tmp_path: Path, figures: Callable[[Tally], None]
):
    """Again and again the worker ends, the variable is flipped for producers and workers, and the next begins.

    What waits in the other engine's queues stays there for its next turn, what is delayed or retried goes along; in the
    end one worker serves both.
    """
    with Stage("celery", tmp_path / "stage") as stage:
        began_s, kinds = time.monotonic(), effects(range(messages))
        producers = {engine: stage.producer(engine=engine) for engine in ENGINES}
        for engine, share in zip(ENGINES, (slice(0, None, 2), slice(1, None, 2)), strict=True):
            producers[engine].send_all("once", kinds["waiting"][share], 0.005)
            producers[engine].send_all("flaky", kinds["retrying"][share], 2)
        for n in kinds["delayed"]:
            producers["celery"].send("once", [n], 0.005, delay=random.uniform(1, 2 * switches))

        engines = cycle(ENGINES)
        for turn in range(switches + 1):
            engine = next(engines)
            worker = stage.worker(engine=engine)
            producers[engine].send("once", range(messages + turn * 10, messages + turn * 10 + 10))
            time.sleep(random.uniform(0.2, 0.6))
            assert 0 == worker.stop()
        stage.worker(engine=engine, options=["--backends", "celery,dramatiq"])
        sent = set().union(*(producer.sent for producer in producers.values()))
        stage.until_done(sent, sent)
        tally = stage.evidence.tally(sent, time.monotonic() - began_s, sent, switches=switches)

    figures(tally)
    assert messages + 10 * (switches + 1) == tally.sent, tally
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
