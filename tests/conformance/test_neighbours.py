"""Native neighbours: tasks that only a native worker has, and native messages with native extras."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.testing.suite_notes import NOTES, QUEUE
from tests.servers import RedisServer, until

from .arenas import arena_of
from .places import BrokerPlace, RedisPlace
from .rabbit_place import RabbitPlace

HERE = "tests.conformance"

NATIVE_WORKERS = {
    "celery": ["celery", "-A", f"{HERE}.native_celery", "worker", "-c", "1", "-Q", "legacy", "--without-mingle"],
    "dramatiq": ["dramatiq", f"{HERE}.native_dramatiq", "-p", "1", "-t", "1"],
}


@pytest.fixture(params=["redis", "rabbitmq"])
def place(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[BrokerPlace]:
    """A broker of each kind, empty; the store is the Redis."""
    place = RedisPlace(redis_server) if request.param == "redis" else RabbitPlace(request.getfixturevalue("rabbit"))
    redis_server.cli().flushall()
    place.empty()
    yield place
    place.empty()


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_task_that_only_a_native_worker_has_can_be_called(
    engine: str, place: BrokerPlace, redis_server: RedisServer, tmp_path: Path
):
    """A plain worker of the engine runs what a taskbridge producer sends it, bulk and bands included."""
    notes = tmp_path / "notes"
    environment = os.environ | {"TASKBRIDGE_BROKER_URL": place.url(), NOTES: str(notes)}
    program, *words = NATIVE_WORKERS[engine]
    command = [str(Path(sys.executable).parent / program), *words]
    settings = Settings(backend=engine, broker_url=place.url(), store_url=redis_server.url())
    add = Bridge(settings).external("legacy.add", queue="legacy")
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        add.enqueue(1, b=2)
        add.enqueue_many([{"a": 10, "b": n} for n in range(3)])

        expected = sorted(f"{engine} {n}" for n in (3, 10, 11, 12))
        until(lambda: notes.exists() and sorted(notes.read_text().splitlines()) == expected, 60, "four native runs")
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_native_delay_is_kept_by_the_store(
    engine: str, place: BrokerPlace, redis_server: RedisServer, tmp_path: Path
):
    """A native message with a delay waits in the store, not in the worker, and runs once when it is due."""
    with arena_of(engine, "ours", place, redis_server, tmp_path) as arena:
        queue = place.name_of(engine, QUEUE)

        def send(text: str, delay_s: int) -> None:
            if engine == "celery":
                with closing(place.celery_app()) as app:
                    app.send_task("suite.plain", [77], {"text": text}, queue=queue, countdown=delay_s)
                return
            from dramatiq import Message

            message = Message(queue_name=queue, actor_name="suite.plain", args=(77,), kwargs={"text": text}, options={})
            with closing(place.dramatiq_broker()) as broker:
                broker.enqueue(message, delay=1000 * delay_s)

        def ran(text: str) -> list[dict[str, Any]]:
            return [one for one in arena.lines() if one.get("text") == text]

        send("later", 3600)
        until(lambda: (QUEUE, "DELAYED") in arena.bridge.store.messages.counts(), 30, "the store to keep it")
        sent_ms = time.time() * 1000
        send("eta", 1)

        (line,) = until(lambda: ran("eta"), 30, "it to run")
        arena.ended(line["id"])
        assert 1000 <= line["at_ms"] - sent_ms + 1
        assert (1, 0) == (len(ran("eta")), len(ran("later")))


def test_a_native_chain_goes_on_through_our_worker(place: BrokerPlace, redis_server: RedisServer, tmp_path: Path):
    """Celery's own chain, sent by a plain producer, runs link by link under taskbridge's contract."""
    from celery import chain, signature

    with arena_of("celery", "ours", place, redis_server, tmp_path) as arena, closing(place.celery_app()) as app:
        links = [
            signature("suite.plain", (n,), {"text": "link"}, app=app, immutable=True, queue=QUEUE) for n in (1, 2, 3)
        ]
        chain(*links, app=app).apply_async()

        until(lambda: len([one for one in arena.lines() if one.get("text") == "link"]) == 3, 30, "three links")
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

        until(lambda: len([one for one in arena.lines() if one.get("text") == "native"]) == 4, 30, "four runs")
        order = [one["n"] for one in arena.lines() if one.get("text") == "native"]
        assert [100, 0] == order[:2]


def test_both_engines_are_served_by_one_worker(place: BrokerPlace, redis_server: RedisServer, tmp_path: Path):
    """``--backends celery,dramatiq`` serves the queues of both with the same loop, in a process that starts once."""
    notes = tmp_path / "notes"
    os.environ[NOTES] = str(notes)
    urls = {"TASKBRIDGE_BROKER_URL": place.url(), "TASKBRIDGE_STORE_URL": redis_server.url()}
    command = [sys.executable, "-m", "taskbridge", "worker", "taskbridge.testing.suite_tasks"]
    command += ["--processes", "1", "--backends", "celery,dramatiq"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, env=os.environ | urls, stdout=log, stderr=log)
    try:
        place.native_call("celery")("suite.plain", [1], {"text": "celery"}, QUEUE)
        place.native_call("dramatiq")("suite.plain", [2], {"text": "dramatiq"}, QUEUE)

        until(lambda: notes.exists() and notes.read_text().count('"plain"') == 2, 60, "one run of each engine")
        assert "celery" in notes.read_text()
        assert "dramatiq" in notes.read_text()
        assert 1 == notes.read_text().count('"started"')
    finally:
        worker.terminate()
        worker.wait(timeout=20)


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_native_pipeline_or_chain_started_in_a_task_is_sent(
    engine: str, place: BrokerPlace, redis_server: RedisServer, tmp_path: Path
):
    """What a native message says comes after it is sent by the engine's own hooks in our child, and runs there."""
    with arena_of(engine, "ours", place, redis_server, tmp_path) as arena:
        queue = place.name_of(engine, QUEUE)
        if engine == "celery":
            from celery import signature

            with closing(place.celery_app()) as app:
                after = signature("suite.plain", (2,), {"text": "after"}, app=app, immutable=True, queue=queue)
                app.send_task("suite.plain", [1], {"text": "before"}, queue=queue, link=[after])
        else:
            from dramatiq import Message

            after = {"queue_name": queue, "actor_name": "suite.plain", "args": [2], "kwargs": {"text": "after"}}
            after |= {"options": {"pipe_ignore": True}, "message_id": "after", "message_timestamp": 1}
            before = Message(
                queue_name=queue,
                actor_name="suite.plain",
                args=(1,),
                kwargs={"text": "before"},
                options={"pipe_target": after},
            )
            with closing(place.dramatiq_broker()) as broker:
                broker.declare_queue(queue)
                broker.enqueue(before)

        until(lambda: [one for one in arena.lines() if one.get("text") == "after"], 30, "what comes after")
        assert ["before", "after"] == [one["text"] for one in arena.lines() if one.get("text") in ("before", "after")]
