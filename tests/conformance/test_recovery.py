"""How long until what a killed worker had in its hands runs again: what ``recovery_s`` declares, ours and theirs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import psutil
import pytest

from taskbridge import Bridge, Settings
from taskbridge.testing.backend_suite import Arena
from taskbridge.testing.suite_notes import NOTES, QUEUE
from taskbridge.testing.suite_tasks import declare
from tests.servers import RedisServer, until

from .arenas import TASKS
from .places import BrokerPlace, RedisPlace
from .rabbit_place import RabbitPlace
from .running import bands_of, commands_of

#: What a machine of two cores may need beyond the declared time: the sweep's own step, where others work too.
MARGIN_S = 8.0

#: How long a worker may take to begin, seconds; four start at once.
START_S = 60.0


CASES = list(product(("redis", "rabbitmq"), ("celery", "dramatiq")))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What became of six messages: how long once another worker served, what was declared, how often each ran."""

    took_s: float
    declared_s: float
    states: list[str]
    runs: list[int]


Played = dict[tuple[str, str], Future[Seen]]


def play(kind: str, broker: BrokerPlace, engine: str, store_url: str, folder: Path) -> Seen:
    """Kill all processes of a worker at once while one task runs and others wait; start another."""
    url = broker.url() if broker.kind != "redis" else store_url
    bridge = Bridge(Settings(backend=engine, broker_url=url, store_url=store_url))
    tasks, notes, gate = declare(bridge), folder / "notes", folder / "gate"
    arena = Arena(bridge, tasks, notes, partial(broker.push_raw, engine, QUEUE), broker.native_call(engine))
    words = {"BACKEND": engine, "BROKER_URL": url, "STORE_URL": store_url}
    environment = os.environ | {NOTES: str(notes)} | {f"TASKBRIDGE_{name}": value for name, value in words.items()}
    sent = [tasks["waits_for"].enqueue(str(gate)), *(tasks["plain"].enqueue(n) for n in range(5))]
    first = _started(engine, kind, environment, folder / "first.log")
    try:
        until(lambda: arena.lines(sent[0].id), START_S, "the first task to run")
    finally:
        for process in first:
            _kill_all(process)
    gate.touch()
    declared_s = (arena.backend.capabilities if kind == "ours" else arena.backend.own_command).recovery_s
    after = tasks["plain"].enqueue(5)
    second = _started(engine, kind, environment, folder / "second.log")
    try:
        until(lambda: arena.lines(after.id), START_S, "the second worker to serve")
        serves_s = time.monotonic()

        def over() -> bool:
            late = time.monotonic() - serves_s > declared_s + MARGIN_S
            return late or all(arena.state(one.id) == "DONE" for one in sent)

        until(over, declared_s + 2 * MARGIN_S, "what was killed to run again")
        took_s = time.monotonic() - serves_s
        states = [arena.state(one.id) for one in sent]
    finally:
        for process in second:
            _kill_all(process)
    bridge.close()
    return Seen(took_s=took_s, declared_s=declared_s, states=states, runs=[len(arena.lines(one.id)) for one in sent])


def play_all(kind: str, request: pytest.FixtureRequest, redis_server: RedisServer) -> Played:
    """On each engine and broker at once, for each mostly waits."""
    redis_server.cli().flushall()
    rabbit = RabbitPlace(request.getfixturevalue("rabbit"))
    rabbit.empty()
    places: dict[str, BrokerPlace] = {"redis": RedisPlace(redis_server), "rabbitmq": rabbit}
    folders = request.getfixturevalue("tmp_path_factory")
    with ThreadPoolExecutor(len(CASES)) as pool:
        return {
            (broker, engine): pool.submit(
                *(play, kind, places[broker], engine, redis_server.url(db=number), folders.mktemp(f"{broker}-{engine}"))
            )
            for number, (broker, engine) in enumerate(CASES)
        }


@pytest.fixture(scope="module")
def ours(request: pytest.FixtureRequest, redis_server: RedisServer) -> Played:
    return play_all("ours", request, redis_server)


@pytest.fixture(scope="module")
def native(request: pytest.FixtureRequest, redis_server: RedisServer) -> Played:
    return play_all("native", request, redis_server)


@pytest.mark.parametrize("kind", ["ours", pytest.param("native", marks=pytest.mark.soak)])
@pytest.mark.parametrize(("broker", "engine"), CASES)
def test_what_a_killed_worker_held_runs_again_in_time(
    broker: str, engine: str, kind: str, request: pytest.FixtureRequest
):
    """All processes of a worker are killed at once while one task runs and others wait; none is lost.

    How long the next worker takes to begin is not counted.
    """
    seen: Seen = request.getfixturevalue(kind)[broker, engine].result()

    assert ["DONE"] * 6 == seen.states, f"within {seen.declared_s} s and {MARGIN_S} s: {seen}"
    assert all(seen.runs), "a message ended without a run"
    assert seen.took_s < seen.declared_s + MARGIN_S, seen


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker with everything it has started; returns when all are gone."""
    whole = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in whole:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
    psutil.wait_procs(whole, timeout=10)


def _started(engine: str, kind: str, environment: dict[str, str], log: Path) -> list[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        return [
            subprocess.Popen(
                [str(Path(sys.executable).parent / program), *words],
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            for program, *words in commands_of(engine, kind, TASKS, bands_of(QUEUE))
        ]
