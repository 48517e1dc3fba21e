"""What an engine's own producers have left moves to the other engine, while the drain is killed again and again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.announcement import announced
from taskbridge.store.redis import RedisStore
from tests.servers import TURNS, RedisServer, until

from .evidence import Tally
from .harness import PATIENCE_S, ROOT, Stage

pytestmark = pytest.mark.service("redis")

MESSAGES, MANY = 600, 10_000
KILLS = 5

#: From where to where, and on how many servers broker and store are.
Case = tuple[str, str, int]
CASES: list[Case] = [("celery", "dramatiq", 1), ("dramatiq", "celery", 1), ("celery", "dramatiq", 2)]

#: So many lie in the queue at least when a drain begins that is to be killed in the middle.
ENOUGH = 200

#: So many are sent when the last kill is over, so that some are due after the last drain.
LATER = 200

#: The longest delay, seconds: longer than the last drain takes.
LONGEST_S, LONGEST_OF_MANY_S = 20.0, 120.0

#: How late one may begin on a busy machine, seconds; the promise is one second for 99 of a hundred on a quiet one.
LATE_S = 3.0


def produce(stage: Stage, engine: str, numbers: range, longest_s: float) -> dict[int, tuple[float, bool]]:
    """Have an engine's own producer send; returns of each number when it is due (unix s), and whether it is to run."""
    notes = stage.folder / "sent"
    words = [engine, stage.broker_url(), str(numbers[0]), str(len(numbers)), str(longest_s), str(notes)]
    subprocess.run([sys.executable, "-m", "tests.faults.native_producer", *words], cwd=ROOT, check=True, timeout=120)
    lines = [line.split() for line in notes.read_text().splitlines()]
    return {int(n): (int(due_ms) / 1000, how == "once") for n, due_ms, how in lines}


def drain(stage: Stage, source: str, target: str, *words: str, doomed_at: int = -1) -> subprocess.Popen[str]:
    """Start ``taskbridge migrate drain``; one that is doomed kills itself when so few are left."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TASKBRIDGE_")}
    environment |= {"TASKBRIDGE_BROKER_URL": stage.broker_url(), "TASKBRIDGE_BACKEND": target}
    environment |= {"TASKBRIDGE_STORE_URL": stage.server.url()}
    how = ["tests.faults.doomed", source, str(doomed_at)] if doomed_at >= 0 else ["taskbridge"]
    command = [sys.executable, "-m", *how, "migrate", "drain", "--from", source, "--to", target]
    command += ["--queues", "faults", "--json", *words]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def said(process: subprocess.Popen[str], code: int = 0) -> Any:
    """Wait for a drain and return what it says."""
    out, error = process.communicate(timeout=120)
    assert code == process.returncode, error + out
    return json.loads(out)


def kill_in_the_middle(stage: Stage, source: str, target: str, bridge: Bridge) -> int:
    """Start a drain that is killed when it has moved some; returns how many were left then."""
    backend = bridge.backend(source)
    before = backend.depth("faults")
    process = drain(stage, source, target, doomed_at=before - max(1, round(before * random.uniform(0.05, 0.2))))
    out, error = process.communicate(timeout=120)
    assert -signal.SIGKILL == process.returncode, error + out
    return backend.depth("faults")


def drained(folder: Path, source: str, target: str, servers: int, count: int) -> Tally:
    """An engine's own producer sends so many; a drain to the other is killed five times, and one ends."""
    longest_s = LONGEST_S if count == MESSAGES else LONGEST_OF_MANY_S
    with ExitStack() as stack:
        broker = stack.enter_context(RedisServer()).url if servers == 2 else None
        stage = stack.enter_context(Stage(target, folder / "stage", broker=broker))
        store = stack.enter_context(closing(RedisStore(stage.server.url(), "taskbridge")))
        urls = {"broker_url": stage.broker_url(), "store_url": stage.server.url()}
        bridge = stack.enter_context(closing(Bridge(Settings(backend=target, **urls))))
        stage.worker(processes=2, options=["--backends", target])
        until(lambda: announced(store), PATIENCE_S, "the worker announces its tasks")
        due = produce(stage, source, range(count), longest_s)
        assert count == bridge.backend(source).depth("faults")
        began_s = time.monotonic()
        left, sent = [], count
        for _ in range(KILLS):
            if bridge.backend(source).depth("faults") < ENOUGH:
                due |= produce(stage, source, range(sent, sent := sent + ENOUGH), longest_s)
            left.append(kill_in_the_middle(stage, source, target, bridge))
        due |= produce(stage, source, range(sent, sent + LATER), longest_s)
        report = said(drain(stage, source, target))
        drained_s = time.time()
        wanted = {n for n, (_, runs) in due.items() if runs}
        stage.until_done(wanted, wanted, quiet_s=longest_s + PATIENCE_S)
        until(lambda: not bridge.backend(target).depth("faults"), PATIENCE_S, "what has expired is dropped")
        evidence = stage.evidence.look()
        starts = {n: min(times) for n, times in evidence.starts.items()}
        later = {n for n in wanted if due[n][0] > drained_s}
        late_s = sorted(starts[n] - due[n][0] for n in later if n in starts)
        return evidence.tally(
            wanted,
            time.monotonic() - began_s,
            wanted,
            left=left,
            last=report["moved"],
            empty=report["empty"],
            early=len([n for n, at_s in starts.items() if at_s < due[n][0]]),
            expired=len(starts.keys() - wanted),
            later=len(later),
            late_s=round(p99(late_s), 2),
        )


def play(count: int, folders: pytest.TempPathFactory) -> dict[Case, Future[Tally]]:
    """Every case at once, for each mostly waits for what is delayed."""
    with ThreadPoolExecutor(len(CASES)) as pool:
        return {case: pool.submit(drained, folders.mktemp("-".join(map(str, case))), *case, count) for case in CASES}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Future[Tally]]:
    """Once or twice more where others took the machine meanwhile."""
    for _ in range(TURNS):
        played = play(MESSAGES, tmp_path_factory)
        if all(one.exception() is None and in_time(one.result()) for one in played.values()):
            break
    return played


@pytest.fixture(scope="module")
def played_with_many(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Future[Tally]]:
    return play(MANY, tmp_path_factory)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["played", pytest.param("played_with_many", marks=pytest.mark.soak)])
@pytest.mark.parametrize("case", CASES)
def test_each_native_message_runs_once_and_on_time(
    case: Case, how: str, request: pytest.FixtureRequest, figures: Callable[[Tally], None]
):
    """With delays, expiry, priorities and retries, the drain killed five times: each runs once on the other engine,
    none early, what is due after the drain on time, and what has expired never; broker and store one server, or two."""
    tally: Tally = request.getfixturevalue(how)[case].result()

    figures(tally)
    more = tally.more
    assert min(more["left"]) > 0
    assert more["empty"]
    assert (0, 0, 0) == (tally.lost, tally.doubled, tally.repeated), tally
    assert (0, 0) == (more["expired"], more["early"]), tally
    assert in_time(tally), tally


def in_time(tally: Tally) -> bool:
    """Whether enough was due after the last drain to judge by, and on time."""
    return tally.more["later"] > 10 and tally.more["late_s"] < LATE_S


def p99(late_s: Sequence[float]) -> float:
    """How late 99 of a hundred are at most; 0 of none."""
    return late_s[-1 - len(late_s) // 100] if late_s else 0.0
