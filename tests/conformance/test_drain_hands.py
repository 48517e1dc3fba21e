"""What an engine's own workers hold and have not acknowledged: told, left to them while they live, moved when not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taskbridge import Bridge, Settings
from taskbridge.drain.report import Report
from taskbridge.message import new_id
from taskbridge.operations.drain import drain_of
from taskbridge.testing.suite_notes import NOTES
from tests.servers import RedisServer, until

from .places import RedisPlace
from .test_neighbours import NATIVE_WORKERS

pytestmark = pytest.mark.service("redis")

HELD = 12


@pytest.fixture
def start(redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts an engine's own worker."""
    workers: list[subprocess.Popen[bytes]] = []

    def started(engine: str, *more: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"TASKBRIDGE_BROKER_URL": redis_server.url(), NOTES: str(tmp_path / "notes")}
        program, *words = NATIVE_WORKERS[engine]
        command = [str(Path(sys.executable).parent / program), *words, *more]
        with (tmp_path / "log").open("ab") as log:
            workers.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))
        return workers[-1]

    yield started
    for worker in workers:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def send(engine: str, redis_server: RedisServer, count: int = HELD, delay_s: float | None = 300.0) -> None:
    """Have the engine's own producer send numbers, due later unless told otherwise."""
    place = RedisPlace(redis_server)
    if engine == "celery":
        with closing(place.celery_app()) as app:
            for n in range(count):
                app.send_task("legacy.add", [n], queue="legacy", countdown=delay_s, priority=n % 10)
        return
    from dramatiq import Message

    with closing(place.dramatiq_broker()) as broker:
        broker.declare_queue("legacy")
        for n in range(count):
            message: Message[Any] = Message(
                queue_name="legacy", actor_name="legacy.add", args=(n,), kwargs={}, options={}
            )
            broker.enqueue(message, delay=round(delay_s * 1000) if delay_s else None)


def drain(redis_server: RedisServer, engine: str, silence_s: float | None, *, look: bool = False) -> Report:
    """Drain once into the other engine, where the routes send everything; or only look."""
    target = {"celery": "dramatiq", "dramatiq": "celery"}[engine]
    with closing(Bridge(Settings(backend=target, broker_url=redis_server.url()))) as bridge:
        one = drain_of(bridge, engine, target, ["legacy"], new_id(), force=True, visibility_s=silence_s)
        list(one.preview() if look else one.run())
        return one.report()


@pytest.mark.parametrize(("engine", "silence_s"), [("celery", None), ("dramatiq", 3.0)])
def test_what_live_workers_hold_is_theirs_until_they_are_gone(
    engine: str, silence_s: float | None, redis_server: RedisServer, start: Callable[[str], subprocess.Popen[bytes]]
):
    """It is counted, with the workers that live; when they are killed it moves, each message once, due as it was."""
    redis_server.cli().flushall()
    send(engine, redis_server)
    worker = start(engine)
    look = partial(drain, redis_server, engine, silence_s, look=True)
    until(lambda: HELD == drain(redis_server, engine, None, look=True).held, 60, "the worker has fetched all of them")

    alive = drain(redis_server, engine, None)  # it is not gone for a halt of some seconds
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    until(lambda: HELD == look().free, 30, "the worker is seen to be gone")
    gone = drain(redis_server, engine, silence_s)

    assert (HELD, 0, 1, 0, False) == (alive.held, alive.free, alive.workers, alive.moved, alive.empty)
    assert (HELD, HELD, 0, True) == (gone.moved, gone.tasks[0].delayed, gone.held, gone.empty)
    assert [b"%d" % HELD] == redis_server.cli().hmget("{taskbridge}:counts", "legacy DELAYED")
    assert [] == redis_server.cli().keys("*held*")


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_what_a_stopped_worker_gives_back_moves(
    engine: str, redis_server: RedisServer, start: Callable[[str], subprocess.Popen[bytes]]
):
    """A worker that ends by itself puts what it held into its queue."""
    redis_server.cli().flushall()
    send(engine, redis_server)
    worker = start(engine)
    until(lambda: HELD == drain(redis_server, engine, None, look=True).held, 60, "the worker has fetched all of them")
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)

    report = drain(redis_server, engine, None)

    assert (HELD, True) == (report.moved, report.empty)


def test_what_was_held_for_longer_than_is_said_moves(
    redis_server: RedisServer, start: Callable[[str], subprocess.Popen[bytes]]
):
    """A Celery worker that is seen does not keep what its visibility has passed for; nothing goes before that."""
    redis_server.cli().flushall()
    send("celery", redis_server)
    start("celery")
    until(lambda: HELD == drain(redis_server, "celery", None, look=True).held, 60, "the worker has fetched all of them")

    before, after = drain(redis_server, "celery", 3600.0), drain(redis_server, "celery", 0.0)

    assert (0, HELD) == (before.moved, before.held)
    assert (HELD, 0) == (after.moved, after.held)


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_live_workers_and_a_drain_share_a_queue_without_a_double(
    engine: str, redis_server: RedisServer, start: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
):
    """While a native worker runs what lies there, each message is run by it or moved: one of the two, and once."""
    redis_server.cli().flushall()
    notes, sent = tmp_path / "notes", 1_500
    start(engine)
    send(engine, redis_server, 1, None)
    until(notes.exists, 60, "the worker runs")
    reports: list[Report] = []

    def moves() -> int:
        send(engine, redis_server, sent, None)
        reports.append(drain(redis_server, engine, None))
        return reports[-1].moved

    until(moves, 60, "a drain that comes before the worker has run all")
    expected = sorted([0, *(n for _ in reports for n in range(sent))])
    until(lambda: (reports.append(drain(redis_server, engine, None)) or reports[-1]).empty, 60, "nothing is left")

    target = {"celery": "dramatiq", "dramatiq": "celery"}[engine]
    with closing(Bridge(Settings(backend=target, broker_url=redis_server.url()))) as bridge:
        moved = [msgspec.json.decode(one.args)[0] for one in bridge.backend(target).scan("legacy", len(expected))]
    ran = [int(line.split()[1]) for line in notes.read_text().splitlines()]
    assert expected == sorted(moved + ran)
    assert sum(one.moved for one in reports) == len(moved) > 0
    assert len(ran) > 1


def test_what_was_sent_through_an_exchange_is_known_by_its_queue(redis_server: RedisServer):
    """Whatever key it was sent by: kombu's bindings say which queue that is. Others' queues are others'."""
    client = redis_server.cli()
    client.flushall()
    client.sadd("_kombu.binding.post", "mail.new\x06\x16\x06\x16legacy", "pay\x06\x16\x06\x16money")
    for tag, key in (("1", "mail.new"), ("2", "pay"), ("3", "legacy")):
        client.hset("unacked", tag, json.dumps([{"properties": {}}, "post" if tag != "3" else "", key]))
        client.zadd("unacked_index", {tag: time.time()})

    report = drain(redis_server, "celery", None, look=True)

    assert (2, 0) == (report.held, report.workers)
