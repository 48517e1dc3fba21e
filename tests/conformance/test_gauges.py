"""What gauges show of a real worker, from elsewhere: what runs, waits and serves, the same on both engines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskbridge import Bridge, Settings
from taskbridge.operations.gauges import InStore, Limit, Serving, Stored, Waiting, gauges
from tests.servers import RedisServer, until

from .running import bands_of, commands_of, running

pytestmark = pytest.mark.service("redis")

#: How long a worker may take to start on a busy machine, seconds.
START_S = 60.0


def stored(found: InStore) -> Stored:
    """Of the queue that the worker serves."""
    (one,) = [one for one in found.stored if one.queue == "gauged"]
    return one


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_workers_work_is_seen_from_elsewhere(engine: str, redis_server: RedisServer, tmp_path: Path):
    """One runs and holds the lock at which two wait; one started at the limit at which two wait; then all is empty."""
    redis_server.cli().flushall()
    gate = tmp_path / "gate"
    bridge = Bridge(Settings(backend=engine, broker_url=redis_server.url()))
    environment = os.environ | {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": redis_server.url()}
    commands = commands_of(engine, "ours", "tests.conformance.gauged", bands_of("gauged"), processes=2)

    def look() -> InStore:
        found = gauges(bridge, ["gauged"])
        assert found.store is not None
        assert [] == found.problems
        return found.store

    with running(commands, environment | {"GAUGED": str(gate)}, tmp_path / "log"):
        for name in ("gauged.holds", "gauged.paced"):
            for n in range(3):
                bridge.external(name, queue="gauged").enqueue(n=n)
        until(lambda: (one := stored(look())).locked + one.throttled == 4, START_S, "four to wait in the store")
        serving = [Serving(backend=engine, queue="gauged", workers=1, processes=2)]
        until(lambda: look().serving == serving, 20, "the worker to be announced with both of its processes")
        until(lambda: look().claims == 1, 20, "the one that was paced to have ended")
        found, at_broker = look(), gauges(bridge, ["gauged"]).brokers

        assert Stored(queue="gauged", locked=2, throttled=2) == stored(found)
        assert {(engine, "gauged"): 1} == found.running
        assert [Limit(name="provider", per_s=pytest.approx(5 / 3_600), waiting=2, keys=1)] == found.limits
        assert ([Waiting(queue="gauged", length=0, oldest_s=0.0)], True) == (at_broker[0].waiting, bool(found.leader))

        gate.touch()
        until(lambda: stored(look()).locked + look().claims == 0, 20, "those that waited for the lock to end")
    until(lambda: (look().workers, look().leader) == (0, ""), 20, "the worker to have withdrawn")
    bridge.close()
