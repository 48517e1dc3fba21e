"""Native neighbours: tasks that only a native worker has, and native messages with native extras."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from taskbridge import Bridge, Settings
from taskbridge.testing.suite_notes import NOTES, QUEUE
from tests.servers import RedisServer, until

from .arenas import arena_of
from .places import RedisPlace

HERE = "tests.conformance"

NATIVE_WORKERS = {
    "celery": ["celery", "-A", f"{HERE}.native_celery", "worker", "-c", "1", "-Q", "legacy", "--without-mingle"],
    "dramatiq": ["dramatiq", f"{HERE}.native_dramatiq", "-p", "1", "-t", "1"],
}


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_task_that_only_a_native_worker_has_can_be_called(engine: str, redis_server: RedisServer, tmp_path: Path):
    """A plain worker of the engine runs what a taskbridge producer sends it, bulk and bands included."""
    redis_server.cli().flushall()
    notes = tmp_path / "notes"
    environment = os.environ | {"TASKBRIDGE_BROKER_URL": redis_server.url(), NOTES: str(notes)}
    program, *words = NATIVE_WORKERS[engine]
    command = [str(Path(sys.executable).parent / program), *words]
    add = Bridge(Settings(backend=engine, broker_url=redis_server.url())).external("legacy.add", queue="legacy")
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        add.enqueue(1, b=2)
        add.enqueue_many([{"a": 10, "b": n} for n in range(3)])

        expected = sorted(f"{engine} {n}" for n in (3, 10, 11, 12))
        until(lambda: notes.exists() and sorted(notes.read_text().splitlines()) == expected, 30, "four native runs")
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_native_delay_is_kept_by_the_store(engine: str, redis_server: RedisServer, tmp_path: Path):
    """A native message with a delay waits in the store, not in the worker, and runs once when it is due."""
    with arena_of(engine, "ours", RedisPlace(redis_server), redis_server, tmp_path) as arena:
        sent_ms = time.time() * 1000
        if engine == "celery":
            from celery import Celery

            app = Celery(broker=redis_server.url(), set_as_current=False)
            app.send_task("suite.plain", [77], {"text": "eta"}, queue=QUEUE, countdown=1)
        else:
            from dramatiq import Message
            from dramatiq.brokers.redis import RedisBroker

            message = Message(
                queue_name=QUEUE, actor_name="suite.plain", args=(77,), kwargs={"text": "eta"}, options={}
            )
            RedisBroker(url=redis_server.url()).enqueue(message, delay=1000)

        until(lambda: (QUEUE, "DELAYED") in arena.bridge.store.messages.counts(), 10, "the store to keep it")
        (ran,) = until(lambda: [one for one in arena.lines() if one.get("text") == "eta"], 10, "it to run")

        arena.ended(ran["id"])
        assert 1000 <= ran["at_ms"] - sent_ms + 1
        assert 1 == len([one for one in arena.lines() if one.get("text") == "eta"])


def test_a_native_chain_goes_on_through_our_worker(redis_server: RedisServer, tmp_path: Path):
    """Celery's own chain, sent by a plain producer, runs link by link under taskbridge's contract."""
    from celery import Celery, chain, signature

    with arena_of("celery", "ours", RedisPlace(redis_server), redis_server, tmp_path) as arena:
        app = Celery(broker=redis_server.url(), set_as_current=False)
        links = [
            signature("suite.plain", (n,), {"text": "link"}, app=app, immutable=True, queue=QUEUE) for n in (1, 2, 3)
        ]
        chain(*links, app=app).apply_async()

        until(lambda: len([one for one in arena.lines() if one.get("text") == "link"]) == 3, 15, "three links")
        assert [1, 2, 3] == [one["n"] for one in arena.lines() if one.get("text") == "link"]


def test_a_native_priority_keeps_its_band(redis_server: RedisServer, tmp_path: Path):
    """On Celery's own scale on Redis 0 goes before 9; ours that are high go before both."""
    with arena_of("celery", "ours", RedisPlace(redis_server), redis_server, tmp_path) as arena:
        from celery import Celery

        app = Celery(broker=redis_server.url(), set_as_current=False)
        gate = arena.hold_worker(tmp_path)
        for priority in (9, 6, 0):
            app.send_task("suite.plain", [priority], {"text": "native"}, queue=QUEUE, priority=priority)
        arena.tasks["plain"].using(priority=9).enqueue(100, "native")
        gate.touch()

        until(lambda: len([one for one in arena.lines() if one.get("text") == "native"]) == 4, 15, "four runs")
        order = [one["n"] for one in arena.lines() if one.get("text") == "native"]
        assert [100, 0] == order[:2]


def test_both_engines_are_served_by_one_worker(redis_server: RedisServer, tmp_path: Path):
    """``--backends celery,dramatiq`` serves the queues of both with the same loop, in a process that starts once."""
    redis_server.cli().flushall()
    notes = tmp_path / "notes"
    os.environ[NOTES] = str(notes)
    environment = os.environ | {"TASKBRIDGE_BROKER_URL": redis_server.url()}
    command = [sys.executable, "-m", "taskbridge", "worker", "taskbridge.testing.suite_tasks"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            [*command, "--processes", "1", "--backends", "celery,dramatiq"], env=environment, stdout=log, stderr=log
        )
    try:
        place = RedisPlace(redis_server)
        place.native_call("celery")("suite.plain", [1], {"text": "celery"}, QUEUE)
        place.native_call("dramatiq")("suite.plain", [2], {"text": "dramatiq"}, QUEUE)

        until(lambda: notes.exists() and notes.read_text().count('"plain"') == 2, 20, "one run of each engine")
        assert "celery" in notes.read_text()
        assert "dramatiq" in notes.read_text()
        assert 1 == notes.read_text().count('"started"')
    finally:
        worker.terminate()
        worker.wait(timeout=20)
