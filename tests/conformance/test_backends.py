"""BackendSuite on memory, and on both engines twice: under our worker and under the engine's own command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.errors import NotSupported
from taskbridge.testing.backend_suite import Arena, BackendSuite, NativeCall, notes_in
from taskbridge.testing.memory_backend import MemoryBackend
from taskbridge.testing.suite_notes import QUEUE
from taskbridge.testing.suite_tasks import declare
from taskbridge.testing.worker import Worker
from tests.servers import RedisServer, until

from .running import commands_of, running

TASKS = "taskbridge.testing.suite_tasks"


def celery_call(url: str) -> NativeCall:
    """A plain Celery producer that knows nothing of us."""
    from celery import Celery

    app = Celery(broker=url, set_as_current=False)
    return lambda name, args, kwargs, queue: app.send_task(name, args, kwargs, queue=queue)


def dramatiq_call(url: str) -> NativeCall:
    """A plain Dramatiq producer that knows nothing of us."""
    from dramatiq import Message
    from dramatiq.brokers.redis import RedisBroker

    broker: Any = RedisBroker(url=url)

    def send(name: str, args: list[Any], kwargs: dict[str, Any], queue: str) -> None:
        broker.enqueue(Message(queue_name=queue, actor_name=name, args=tuple(args), kwargs=kwargs, options={}))

    return send


def raw_push(engine: str, server: RedisServer) -> Any:
    """Put bytes into an engine's queue as they are."""

    def push(raw: bytes) -> None:
        client = server.cli()
        if engine == "celery":
            client.lpush(QUEUE, raw)
        else:
            client.hset(f"dramatiq:{QUEUE}.msgs", "garbage", raw)
            client.rpush(f"dramatiq:{QUEUE}", "garbage")

    return push


@contextmanager
def arena_of(engine: str, kind: str, server: RedisServer, directory: Path) -> Iterator[Arena]:
    """An arena with real processes on a real broker."""
    settings = Settings(backend=engine, broker_url=server.url())
    server.cli().flushall()
    notes = notes_in(directory)
    environment = os.environ | {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": server.url()}
    log = directory / "worker.log"
    bridge = Bridge(settings)
    tasks = declare(bridge)
    call = celery_call(server.url()) if engine == "celery" else dramatiq_call(server.url())
    with running(commands_of(engine, kind, TASKS, QUEUE), environment, log):
        arena = Arena(bridge, tasks, notes, raw_push(engine, server), call)
        first = tasks["plain"].enqueue(0, "warm")
        try:
            until(lambda: arena.lines(first.id), 30, "the worker to serve its first message")
            yield arena
        finally:
            sys.stderr.write(log.read_text(errors="replace")[-4000:])
    bridge.close()


class EngineSuite(BackendSuite):
    """The suite on an engine; one worker for all cases."""

    engine = "celery"
    kind = "ours"

    @pytest.fixture(scope="class")
    @classmethod
    def arena_of_class(cls, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
        directory = tmp_path_factory.mktemp(f"{cls.engine}-{cls.kind}")
        with arena_of(cls.engine, cls.kind, redis_server, directory) as arena:
            yield arena

    @pytest.fixture
    def arena(self, arena_of_class: Arena) -> Arena:
        return arena_of_class


class TestCelery(EngineSuite):
    """Celery's messages under ``taskbridge worker``."""


class TestDramatiq(EngineSuite):
    """Dramatiq's messages under ``taskbridge worker``."""

    engine = "dramatiq"


class NativeSuite(EngineSuite):
    """The engine's own command: what it cannot keep is declared."""

    kind = "native"

    @pytest.fixture
    def arena(self, arena_of_class: Arena) -> Arena:
        arena = arena_of_class
        arena.backend.capabilities = arena.backend.own_command
        return arena


class TestCeleryItsOwnCommand(NativeSuite):
    """``celery -A taskbridge_celery.command worker``."""


class TestDramatiqItsOwnCommand(NativeSuite):
    """``dramatiq taskbridge_dramatiq.command:broker``."""

    engine = "dramatiq"


class TestMemory(BackendSuite):
    """The engine in this process."""

    @pytest.fixture(scope="class")
    @classmethod
    def arena_of_class(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
        bridge = Bridge(Settings(backend="memory"))
        tasks = declare(bridge)
        backend = bridge.backend("memory")
        assert isinstance(backend, MemoryBackend)

        def no_native(name: str, args: list[Any], kwargs: dict[str, Any], queue: str) -> None:
            raise NotSupported("the memory engine has no producers but ours")

        notes = notes_in(tmp_path_factory.mktemp("memory"))
        with Worker(bridge):
            yield Arena(bridge, tasks, notes, lambda raw: backend.push(QUEUE, raw), no_native)

    @pytest.fixture
    def arena(self, arena_of_class: Arena) -> Arena:
        return arena_of_class
