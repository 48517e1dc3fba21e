"""How long until what a killed worker had in its hands runs again: what ``recovery_s`` declares, ours and theirs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from taskbridge import Bridge, Settings
from taskbridge.testing.backend_suite import Arena, notes_in
from taskbridge.testing.suite_notes import QUEUE
from taskbridge.testing.suite_tasks import declare
from tests.servers import RedisServer, until

from .arenas import TASKS
from .places import BrokerPlace, RedisPlace
from .rabbit_place import RabbitPlace
from .running import bands_of, commands_of

#: What a machine of two cores may need beyond the declared time: start of the worker, the sweep's own step.
MARGIN_S = 8.0


@pytest.mark.parametrize("kind", ["ours", pytest.param("native", marks=pytest.mark.soak)])
@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
@pytest.mark.timeout(180)
def test_what_a_killed_worker_held_runs_again_in_time(
    broker: str, engine: str, kind: str, request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path
):
    """All processes of a worker are killed at once while one task runs and others wait; none is lost."""
    redis_server.cli().flushall()
    place: BrokerPlace
    if broker == "redis":
        place = RedisPlace(redis_server)
    else:
        place = RabbitPlace(request.getfixturevalue("rabbit"))
        place.empty()
    url, store_url = place.url(), redis_server.url()
    bridge = Bridge(Settings(backend=engine, broker_url=url, store_url=store_url))
    tasks = declare(bridge)
    push_raw = partial(place.push_raw, engine, QUEUE)
    arena = Arena(bridge, tasks, notes_in(tmp_path), push_raw, place.native_call(engine))
    urls = {"TASKBRIDGE_BROKER_URL": url, "TASKBRIDGE_STORE_URL": store_url}
    environment = os.environ | {"TASKBRIDGE_BACKEND": engine, **urls}
    gate = tmp_path / "gate"
    sent = [tasks["waits_for"].enqueue(str(gate)), *(tasks["plain"].enqueue(n) for n in range(5))]
    first = _started(engine, kind, environment, tmp_path / "first.log")
    until(lambda: arena.lines(sent[0].id), 30, "the first task to run")

    for process in first:
        _kill_all(process)
    gate.touch()
    killed_s = time.monotonic()
    second = _started(engine, kind, environment, tmp_path / "second.log")
    try:
        backend = arena.backend
        declared_s = (backend.capabilities if kind == "ours" else backend.own_command).recovery_s
        until(
            lambda: all(arena.state(one.id) == "DONE" for one in sent),
            declared_s + MARGIN_S - (time.monotonic() - killed_s),
            f"all six to be done within {declared_s} s, states are {[arena.state(one.id) for one in sent]}",
        )
        assert all(arena.lines(one.id) for one in sent), "a message ended without a run"
    finally:
        for process in second:
            _kill_all(process)


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
