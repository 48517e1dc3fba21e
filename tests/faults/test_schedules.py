"""Ticks of schedules: each once and in time, whichever of several relays leads, and however it ends."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from taskbridge.store.schedules import ScheduleState

from ..servers import until
from .evidence import Tally
from .harness import PATIENCE_S, Producer, Stage, Worker, send

pytestmark = pytest.mark.service("redis")

#: What the schedule of ``ticking.py`` is called.
NAME, MODULE = "ticking", "tests.faults.ticking"

#: Schedules without code: one of a task of the worker, and one of a task that only others have.
FILE = """
[schedules.ours]
task = "tests.faults.tasks.plain"
every = 1
args = [7, 0.0]

[schedules.theirs]
task = "legacy.add"
queue = "legacy"
every = "1s"
args = [1, 2]
"""

#: Three relays: each worker has one.
RELAYS = ("celery", "dramatiq", "celery")

#: How long a leader that was killed keeps the lead, and is looked for, seconds; and what a busy machine adds.
LATEST_S = 3 + 2 * 0.5 + 6


def schedule(producer: Producer) -> ScheduleState | None:
    """What the store has of it."""
    return next((one for one in producer.bridge.store.schedules.all() if one.name == NAME), None)


def leader(stage: Stage, workers: list[Worker]) -> Worker | None:
    """Whose relay leads now."""
    owner = stage.server.cli().get("{taskbridge}:leader:relay")
    pid = int(owner.decode().split(".")[-2]) if isinstance(owner, bytes) else 0
    return next((worker for worker in workers if worker.lives() and worker.pid == pid), None)


def calm(stage: Stage, seconds: float) -> list[float]:
    """Let it tick undisturbed; returns how late each tick began, sorted."""
    seen = len(stage.evidence.look().starts)
    until(lambda: len(stage.evidence.look().starts) >= seen + seconds, seconds + 20, f"{seconds} ticks")
    return sorted(starts[0] - n for n, starts in list(stage.evidence.starts.items())[seen:])


def tick_for(stage: Stage, calm_s: float, kills_s: float) -> Tally:
    """Tick each second, at first undisturbed, then while a leader is killed every few seconds."""
    producer = stage.producer()
    workers = [stage.worker(engine=engine, processes=1, tasks=MODULE) for engine in RELAYS]
    until(lambda: stage.evidence.look().ends, PATIENCE_S, "the first tick")
    first, began_s = min(stage.evidence.starts), time.monotonic()
    late_s = calm(stage, calm_s)
    kills, kills_began_s = 0, time.monotonic()
    while time.monotonic() < kills_began_s + kills_s:
        time.sleep(random.uniform(0.5, 3.0))
        stage.evidence.look()  # it says how far it is
        led = leader(stage, workers)
        if led:
            send([led.pid], signal.SIGKILL)
            led.wait(PATIENCE_S)
            kills += 1
            time.sleep(random.uniform(0, 1.0))
            led.start()
    last = int(time.time()) - 1
    stage.until_done(range(first, last + 1), range(first, last + 1), quiet_s=LATEST_S + PATIENCE_S)
    return tally(stage, producer, range(first, last + 1), time.monotonic() - began_s, kills, late_s)


def tally(stage: Stage, producer: Producer, ticks: range, seconds: float, kills: int, late_s: list[float]) -> Tally:
    """Count what was to tick, and what did."""
    state, effects = schedule(producer), stage.evidence.effects()
    assert state
    found = stage.evidence.tally(ticks, seconds, ticks, kills=kills)
    latest_s = max(starts[0] - n for n, starts in stage.evidence.starts.items())
    found.more |= {
        "beside": len([n for n in effects if n < ticks[0]]),
        "missed": state.missed,
        "skipped": state.skipped,
    }
    found.more |= {"fired": state.fired - state.last_ms // 1000 + ticks[0] - 1}
    found.more |= {"calm_p50_s": round(late_s[len(late_s) // 2], 3), "latest_s": round(latest_s, 1)}
    found.more |= {"calm_p99_s": round(late_s[len(late_s) * 99 // 100], 3)}
    return found


@pytest.mark.parametrize(
    ("calm_s", "kills_s"), [(4, 9), pytest.param(30, 180, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_each_tick_is_fired_once_whoever_leads(
    tmp_path: Path, figures: Callable[[Tally], None], calm_s: float, kills_s: float
):
    """Three relays on two engines, leaders killed at random: each second of a schedule runs, once; none is missed."""
    with Stage("celery", tmp_path / "stage") as stage:
        result = tick_for(stage, calm_s, kills_s)

    figures(result)
    assert (0, 0) == (result.lost, result.doubled), result
    assert (0, 0, 0, 0) == tuple(result.more[word] for word in ("beside", "missed", "skipped", "fired")), result
    assert result.repeated <= result.more["kills"], result
    assert result.more["kills"] >= kills_s / 10, result
    in_time_s = result.more["calm_p99_s" if calm_s > 10 else "calm_p50_s"]  # of few, p99 is the one that had bad luck
    assert in_time_s < 1, result
    assert result.more["latest_s"] < LATEST_S, result


def test_schedules_of_the_file_need_no_code(tmp_path: Path):
    """One of a task of the worker, with its arguments, and one of a task that only others have, to their queue."""
    with Stage("celery", tmp_path / "stage") as stage:
        config = tmp_path / "schedules.toml"
        config.write_text(FILE)
        stage.worker(processes=1, environment={"TASKBRIDGE_CONFIG": str(config)})
        producer = stage.producer()
        until(lambda: len(stage.evidence.look().starts.get(7, [])) >= 3, PATIENCE_S, "three ticks")
        legacy = producer.bridge.backend("celery").depth
        until(lambda: legacy("legacy") >= 3, PATIENCE_S, "three messages for the others")
        store, redis = producer.bridge.store, stage.server.cli()
        foreign = next(one for one in store.schedules.all() if one.name == "theirs")
        record = f"{{taskbridge}}:m:{foreign.last_id}"
        until(lambda: redis.hget(record, "st") == b"OUT", PATIENCE_S, "the last one to be published")

        assert 7 * 24 * 3_600_000 - 60_000 < int(redis.pttl(record))  # type: ignore[arg-type]


def test_a_change_at_run_time_holds_within_a_second(tmp_path: Path):
    """Paused, it ticks no more; resumed, it does again, and what was left out stays so."""
    from taskbridge.operations.schedules import pause, resume

    with Stage("celery", tmp_path / "stage") as stage:
        producer = stage.producer()
        stage.worker(processes=1, tasks=MODULE)
        until(lambda: len(stage.evidence.look().ends) > 1, PATIENCE_S, "it ticks")
        pause(producer.bridge.store, NAME)
        paused_s = time.time()
        until(lambda: time.time() > paused_s + 3, PATIENCE_S, "three seconds")
        resumes_s = time.time()
        resume(producer.bridge.store, NAME)
        resumed_s = time.time()
        until(lambda: max(stage.evidence.look().ends) > resumed_s + 1, PATIENCE_S, "it ticks again")
        ticks = sorted(stage.evidence.ends)

    assert [] == [n for n in ticks if paused_s + 1 < n < resumes_s]
    assert min(n for n in ticks if n > resumes_s) < resumed_s + 1.5
