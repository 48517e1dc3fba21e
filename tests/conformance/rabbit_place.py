"""RabbitMQ as a place of the suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

import amqp

from taskbridge.testing.backend_suite import NativeCall
from taskbridge.testing.suite_notes import QUEUE
from tests.rabbitmq import RabbitServer, SomeRabbit, connected

from .places import dramatiq_call

#: What the two engines' names of queues end with.
SUFFIXES = {"celery": "", "dramatiq": "-dramatiq"}

#: The parts of a queue, and what Dramatiq makes beside each.
PARTS = ("-front", "-high", "", "-low")
BESIDE = ("", ".DQ", ".XQ")


class RabbitPlace:
    """A RabbitMQ; the store is elsewhere."""

    kind = "rabbitmq"
    environment: Mapping[str, str] = {}
    slowness = 1.0

    def __init__(self, rabbit: SomeRabbit) -> None:
        self._rabbit = rabbit

    def queues(self, engine: str, queue: str) -> list[str]:
        return [queue]

    def url(self, **options: object) -> str:
        return self._rabbit.url(**options)

    def empty(self) -> None:
        """Empty its queues; they stay, for a plain Celery producer remembers that it has declared them."""
        with connected(self.url()) as channel:
            for name in names(QUEUE, "legacy"):
                with suppress(amqp.NotFound):
                    channel.queue_purge(name)

    def push_raw(self, engine: str, queue: str, raw: bytes) -> None:
        with connected(self.url()) as channel:
            channel.confirm_select()
            channel.basic_publish(amqp.Message(raw), routing_key=self.name_of(engine, queue))
            channel.wait(amqp.spec.Basic.Ack)

    def native_call(self, engine: str) -> NativeCall:
        return self._by_celery if engine == "celery" else self._by_dramatiq

    def celery_app(self) -> Any:
        from celery import Celery

        app = Celery(broker=self.url(), set_as_current=False)
        app.conf.broker_transport_options = {"confirm_publish": True}
        return app

    def dramatiq_broker(self) -> Any:
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        return RabbitmqBroker(url=self.url(), confirm_delivery=True)

    def name_of(self, engine: str, queue: str) -> str:
        return queue + SUFFIXES[engine]

    def _by_celery(self, name: str, args: list[Any], kwargs: dict[str, Any], queue: str) -> None:
        with closing(self.celery_app()) as app:
            app.send_task(name, args, kwargs, queue=self.name_of("celery", queue))

    def _by_dramatiq(self, name: str, args: list[Any], kwargs: dict[str, Any], queue: str) -> None:
        with closing(self.dramatiq_broker()) as broker:
            dramatiq_call(broker)(name, args, kwargs, self.name_of("dramatiq", queue))


class QuorumPlace(RabbitPlace):
    """A virtual host of a node, with quorum queues; plain producers are told that they are."""

    _TYPE: Mapping[str, Any] = {"x-queue-type": "quorum"}

    def __init__(self, node: RabbitServer) -> None:
        super().__init__(node)
        self._plain = node.new_vhost("quorum")

    def url(self, **options: object) -> str:
        return self._rabbit.url(**{"vhost": "quorum", "queue_type": "quorum"} | options)

    def celery_app(self) -> Any:
        app = super().celery_app()
        app.conf.broker_url = self._plain
        app.conf.task_create_missing_queue_type = "quorum"
        return app

    def dramatiq_broker(self) -> Any:
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        class Broker(RabbitmqBroker):
            def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
                return super()._build_queue_arguments(queue_name) | QuorumPlace._TYPE

        return Broker(url=self._plain, confirm_delivery=True)


def names(*queues: str) -> Iterator[str]:
    """All names that these queues of ours may have."""
    for queue in queues:
        for suffix in SUFFIXES.values():
            yield from (f"{queue}{suffix}{part}{beside}" for part in PARTS for beside in BESIDE)
