"""Queues of each engine on a real RabbitMQ, new for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from taskbridge.backend import Place, load
from taskbridge.message import Message
from taskbridge.rabbitmq import consumer
from taskbridge.rabbitmq.broker import RabbitBroker
from taskbridge.rabbitmq.consumer import LONG_RUN_S, RabbitConsumer
from taskbridge.testing import a_message
from tests.conformance.rabbit_place import names
from tests.rabbitmq import RabbitServer, SomeRabbit, connected
from tests.servers import missing


class Desk:
    """One engine's queues, and a client that knows nothing of us.

    ``queue`` and ``other`` are ours alone; ``options`` are of each broker's URL.
    """

    def __init__(self, engine: str, rabbit: SomeRabbit, **options: object) -> None:
        self.engine = engine
        self.rabbit = rabbit
        self.options = options
        self.queue, self.other = (f"unit_{os.urandom(4).hex()}" for _ in range(2))
        self._stack = ExitStack()
        self.channel: Any = None
        self.connect()
        self.broker = self.a_broker()

    def connect(self) -> None:
        """Connect the other client, again where its connection was closed."""
        self.channel = self._stack.enter_context(connected(self.rabbit.url()))

    def a_broker(self, url: str = "", **options: object) -> RabbitBroker:
        """Another process's, as it were."""
        place = Place(name=self.engine, broker_url=url or self.rabbit.url(**self.options | options), namespace="unit")
        backend: Any = load(self.engine, place)
        self._stack.callback(backend.close)
        broker: RabbitBroker = backend.broker
        return broker

    def name(self, part: str = "") -> str:
        """What the engine calls a part of the queue."""
        return self.broker.names.of(self.queue, part)

    def consumer(self, *queues: str, **options: object) -> RabbitConsumer:
        """A worker's, of these queues. Defaults to ``queue``."""
        broker = self.a_broker(**options) if options else self.broker
        made = broker.consumer(queues or [self.queue], "worker", None)  # type: ignore[arg-type]
        assert isinstance(made, RabbitConsumer)
        return made

    def publish(self, *texts: str, broker: RabbitBroker | None = None, front: bool = False, **fields: Any) -> None:
        """Publish a message for each text, its id."""
        messages = [self.message(text, **fields) for text in texts]
        (broker or self.broker).publish(messages, front=front)

    def message(self, text: str, **fields: Any) -> Message:
        return a_message(**({"id": text, "queue": self.queue} | fields))

    def waiting(self, name: str) -> int:
        """How many wait in a queue of this name, by the other client."""
        return int(self.channel.queue_declare(name, passive=True)[1])

    def node(self) -> RabbitServer:
        """Return the server, which is ours to do with as we like."""
        return self.rabbit if isinstance(self.rabbit, RabbitServer) else missing("rabbitmq-server of our own")

    def close(self) -> None:
        self.connect()
        for name in names(self.queue, self.other):
            self.channel.queue_delete(name)
        self._stack.close()


@pytest.fixture(autouse=True)
def no_task_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no long task: what a law has in hand stays there, unless it says how long a long one is."""
    monkeypatch.setattr(consumer, "LONG_RUN_S", 60.0)


@pytest.fixture
def long_tasks(no_task_is_long: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task is long when it is for a worker."""
    monkeypatch.setattr(consumer, "LONG_RUN_S", LONG_RUN_S)


@pytest.fixture(params=["celery", "dramatiq"])
def quorum(request: pytest.FixtureRequest, rabbit: SomeRabbit) -> Iterator[Desk]:
    """On each engine, with quorum queues."""
    desk = Desk(request.param, rabbit, queue_type="quorum")
    yield desk
    desk.close()


@pytest.fixture(params=["celery", "dramatiq"])
def desk(request: pytest.FixtureRequest, rabbit: SomeRabbit) -> Iterator[Desk]:
    """On each engine."""
    desk = Desk(request.param, rabbit)
    yield desk
    desk.close()
