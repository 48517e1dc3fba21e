"""Rate limits over processes of both engines, by the store's own count of starts."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from taskbridge.operations.limits import set_rate

from ..servers import TURNS, until
from .evidence import Tally
from .harness import ENGINES, PATIENCE_S, QUEUE, TASKS, Producer, Stage, Worker

pytestmark = pytest.mark.service("redis")

RATE, BURST = 70, 7

#: More than the limit lets on in twenty seconds, while its neighbours are watched.
FLOOD = 1_500

#: Both engines carry half each, whatever is let out.
HALVES = f'[shares."{TASKS}.paced"]\ndramatiq = 50\n'


def workers(stage: Stage, processes: int) -> list[Worker]:
    """So many processes, half of each engine; one is Celery's."""
    config = stage.folder / "halves.toml"
    config.write_text(HALVES if processes > 1 else "")
    each = max(1, processes // 2)
    engines = ENGINES[: min(2, processes)]
    return [stage.worker(engine=one, processes=each, environment={"TASKBRIDGE_CONFIG": str(config)}) for one in engines]


def send(stage: Stage, count: int, engines: int = 2) -> list[Producer]:
    """Enqueue so many, in equal parts by a producer of each engine."""
    producers = [stage.producer(engine=engine) for engine in ENGINES[:engines]]
    for n, producer in enumerate(producers):
        producer.send_all("paced", range(n, count, engines))
    return producers


def starts(stage: Stage) -> list[float]:
    """When the store let each begin, seconds, in order."""
    return sorted(at for all_of_one in stage.evidence.look().starts.values() for at in all_of_one)


def most_over(instants: list[float], rate: float) -> float:
    """By how much the starts in any window are over rate x window: what the burst must cover."""
    worst = lowest = float("-inf")
    for n, at in enumerate(instants):
        lowest = max(lowest, rate * at - n)
        worst = max(worst, n + 1 - rate * at + lowest)
    return worst


def paced_by(processes: int, seconds: float, folder: Path) -> Tally:
    """Run more than the limit allows for so long; count windows, and how much of the limit was used."""
    with Stage("celery", folder) as stage:
        workers(stage, processes)
        send(stage, int(RATE * seconds) + 300, min(2, processes))
        until(lambda: len(starts(stage)) > 2 * BURST, PATIENCE_S, "the first starts")
        began_s = time.monotonic()
        until(lambda: time.monotonic() - began_s > seconds, seconds + 5, "the time to pass")
        instants = starts(stage)
        sent = len(instants)
        took_s = instants[-1] - instants[0]
        used = (sent - BURST) / (RATE * took_s)
        repeated = sum(len(all_of_one) - 1 for all_of_one in stage.evidence.starts.values())
    more = {"processes": processes, "used": round(used, 4), "over": round(most_over(instants, RATE), 2)}
    return Tally(sent=sent, lost=0, repeated=repeated, doubled=0, seconds=round(took_s, 1), more=more)


def strict(tally: Tally) -> bool:
    """In every window at most the rate and the burst; a millisecond is the store's grain."""
    return tally.more["over"] <= BURST + 0.1 and not tally.repeated


def used(tally: Tally) -> bool:
    """98 % of it is."""
    return tally.more["used"] >= 0.98


@pytest.mark.alone
def test_limit_is_strict_and_used_over_both_engines(tmp_path: Path, figures: Callable[[Tally], None]):
    """With four processes, half of each engine: strict at any time; used, unless others take the machine, twice."""
    for turn in range(3):
        tally = paced_by(4, 10.0, tmp_path / f"stage-{turn}")
        figures(tally)
        assert strict(tally), tally
        if used(tally):
            return
    pytest.fail(f"not used: {tally}")


@pytest.mark.soak
@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_limit_is_strict_and_used_for_long(tmp_path: Path, processes: int, figures: Callable[[Tally], None]):
    """Half a minute each, by itself."""
    tally = paced_by(processes, 30.0, tmp_path / "stage")

    figures(tally)
    assert strict(tally), tally
    assert used(tally), tally


def test_lowered_limit_holds_within_a_second(tmp_path: Path):
    """From 70 to 10 a second in the middle: no second after the next has more than ten and its burst."""
    with Stage("celery", tmp_path / "stage") as stage:
        workers(stage, 4)
        producer = send(stage, 1_000)[0]
        until(lambda: len(starts(stage)) > 140, PATIENCE_S, "two seconds' worth of starts")
        set_rate(producer.bridge.store, "provider", "10/s")
        lowered_s = producer.bridge.store.now_ms() / 1000

        def after() -> list[float]:
            return [at for at in starts(stage) if at > lowered_s + 1]

        until(lambda: len(after()) >= 30, PATIENCE_S, "three seconds' worth of starts")

    assert most_over(after(), 10) <= 2 + 0.1


def waits_of_others(stage: Stage, producer: Producer, numbers: range) -> float:
    """Send plain tasks at random over some seconds; p99 of the time from enqueue to start, milliseconds."""
    sent: dict[int, float] = {}
    task = producer.task("plain")
    for n in numbers:
        time.sleep(random.expovariate(100))
        sent[n] = time.time()
        task.enqueue(n, 0.0)
    until(lambda: numbers[-1] in stage.evidence.ended(), 30, "the last one to run")
    waits = [stage.evidence.starts[n][0] - at for n, at in sent.items()]
    return statistics.quantiles(waits, n=100)[98] * 1000


def taken_s(stage: Stage, name: str, first: int, *args: float) -> float:
    """Enqueue a flood by producers of both engines; how long until their queues are empty, seconds."""
    producers = {engine: stage.producer(engine=engine) for engine in ENGINES}
    began_s = time.monotonic()
    for n, producer in enumerate(producers.values()):
        producer.send_all(name, range(first + n, first + FLOOD, 2), *args)
    backends = [producer.bridge.backend(engine) for engine, producer in producers.items()]
    until(lambda: not any(backend.depth(QUEUE) for backend in backends), PATIENCE_S, "empty queues")
    return time.monotonic() - began_s


@pytest.mark.soak
def test_limit_does_not_slow_its_neighbours(tmp_path: Path):
    """What waits at a limit is out of the way sooner than as many without one would run; medians of three.

    Then a task without a limit in the same queue waits no longer than alone: p99, 20 % or 10 ms.
    """
    with Stage("celery", tmp_path / "stage") as stage:
        workers(stage, 4)
        producer = stage.producer()
        alone, beside, ran, parked = [], [], [], []
        waits_of_others(stage, producer, range(100_000, 100_300))
        for turn in range(3):
            first = 200_000 + turn * 10_000
            alone.append(waits_of_others(stage, producer, range(first, first + 500)))
            ran.append(taken_s(stage, "plain", first + 4_000, 0.0))
            parked.append(taken_s(stage, "paced", turn * 10_000))
            beside.append(waits_of_others(stage, producer, range(first + 1_000, first + 2_500)))
            until(lambda: not producer.bridge.store.messages.counts(), PATIENCE_S, "the limited ones to end")
    one, other, running_s, parking_s = map(statistics.median, (alone, beside, ran, parked))

    print(f"p99 in queue: alone {one:.1f} ms, beside a limit {other:.1f} ms")
    print(f"{FLOOD:,} in the way: {running_s:.2f} s to run without a limit, {parking_s:.2f} s to park at one")
    assert parking_s <= running_s
    assert other <= max(one * 1.2, one + 10)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_what_waits_at_a_limit_costs_nothing(tmp_path: Path):
    """200,000 wait, each once, in order; all processes together use under 3 % of one core more than with a thousand.

    Ten a second are let on meanwhile, and cost what they cost.
    """
    with Stage("celery", tmp_path / "stage") as stage:
        producer = stage.producer()
        set_rate(producer.bridge.store, "provider", "10/s")
        team = workers(stage, 2)
        few = used_while_parked(stage, producer, team, range(1_000))
        many = used_while_parked(stage, producer, team, range(1_000, 200_000))
        order = [n for n, _ in sorted(stage.evidence.look().starts.items(), key=lambda one: one[1][0])]

    print(f"{few:.1%} of one core with 1,000 that wait, {many:.1%} with 200,000; {len(order)} started")
    assert sorted(order[10:]) == order[10:]
    assert many < few + 0.03


def used_while_parked(stage: Stage, producer: Producer, team: list[Worker], numbers: range) -> float:
    """Send so many to wait at the limit; the share of one core that workers and store use then, over ten seconds."""
    producer.send_all("paced", numbers)
    backends = [producer.bridge.backend(engine) for engine in ENGINES]

    def parked() -> int:
        return sum(n for (_, state), n in producer.bridge.store.messages.counts().items() if state == "THROTTLED")

    until(
        lambda: parked() > 0.95 * len(numbers) and not any(one.depth(QUEUE) for one in backends), 300, "all are parked"
    )
    until(lambda: at_rest(stage), PATIENCE_S, "the server to have written what it was given")
    everyone = [psutil.Process(pid) for worker in team for pid in worker.everyone()]
    everyone.append(psutil.Process(stage.server.pid))

    def share() -> float:
        before_s, began_s = sum(map(cpu_s, everyone)), time.monotonic()
        until(lambda: time.monotonic() - began_s > 10, 15, "ten seconds to pass")
        return (sum(map(cpu_s, everyone)) - before_s) / (time.monotonic() - began_s)

    return min(share() for _ in range(TURNS))


def at_rest(stage: Stage) -> bool:
    """Whether the server rewrites no file and no longer sorts in what it was given."""
    found: Any = stage.server.cli().info("persistence")
    return not (found["aof_rewrite_in_progress"] or found["rdb_bgsave_in_progress"] or found["aof_rewrite_scheduled"])


def cpu_s(process: psutil.Process) -> float:
    """What it has used."""
    times = process.cpu_times()
    return float(times.user + times.system)
