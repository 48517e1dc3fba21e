"""Where a suite's queues are: a broker that is there, and how strangers reach it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Protocol

from taskbridge.testing.backend_suite import NativeCall
from taskbridge.testing.suite_notes import QUEUE
from tests.servers import RedisServer
from tests.sqs import ENVIRONMENT, KEY, REGION, SECRET, SqsServer


class BrokerPlace(Protocol):
    """A broker of one kind."""

    kind: str
    """As ``taskbridge.broker.KINDS`` calls it."""
    environment: Mapping[str, str]
    """What its clients need beside its URL."""
    slowness: float
    """How much longer than on Redis an engine's own command may take."""

    def queues(self, engine: str, queue: str) -> list[str]:
        """What an engine's own command is to be told to read for one queue of ours."""

    def url(self) -> str:
        """The URL as a user would write it."""

    def empty(self) -> None:
        """Leave nothing of what was there."""

    def push_raw(self, engine: str, queue: str, raw: bytes) -> None:
        """Put bytes into an engine's queue as they are."""

    def native_call(self, engine: str) -> NativeCall:
        """Return a plain producer of this engine's, which knows nothing of us."""

    def celery_app(self) -> Any:
        """Return a plain Celery application; it is closed by whoever uses it."""

    def dramatiq_broker(self) -> Any:
        """Return a plain Dramatiq broker; it is closed by whoever uses it."""

    def name_of(self, engine: str, queue: str) -> str:
        """What an engine calls a queue of ours here."""


class RedisPlace:
    """A Redis that is the store, too."""

    kind = "redis"
    environment: Mapping[str, str] = {}
    slowness = 1.0

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def queues(self, engine: str, queue: str) -> list[str]:
        return [queue]

    def url(self) -> str:
        return self._server.url()

    def empty(self) -> None:
        self._server.cli().flushall()

    def push_raw(self, engine: str, queue: str, raw: bytes) -> None:
        client = self._server.cli()
        if engine == "celery":
            client.lpush(queue, raw)
        else:
            client.hset(f"dramatiq:{queue}.msgs", "garbage", raw)
            client.rpush(f"dramatiq:{queue}", "garbage")

    def native_call(self, engine: str) -> NativeCall:
        return celery_call(self.url()) if engine == "celery" else dramatiq_call(self.dramatiq_broker())

    def celery_app(self) -> Any:
        from celery import Celery

        return Celery(broker=self.url(), set_as_current=False)

    def dramatiq_broker(self) -> Any:
        from dramatiq.brokers.redis import RedisBroker

        return RedisBroker(url=self.url())  # type: ignore[no-untyped-call]

    def name_of(self, engine: str, queue: str) -> str:
        return queue


class SqsPlace:
    """An SQS whose queues for the suite are there, as whoever deploys a service has made them."""

    kind = "sqs"
    environment = ENVIRONMENT
    slowness = 10.0  # each message is received and deleted by requests of its own

    def __init__(self, server: SqsServer) -> None:
        self._server = server

    def queues(self, engine: str, queue: str) -> list[str]:
        return [queue + ("-dramatiq" if engine == "dramatiq" else "")]

    def url(self) -> str:
        return self._server.url()

    def empty(self) -> None:
        self._server.reset()
        client = self._server.client()
        for (name,) in (self.queues(engine, QUEUE) for engine in ("celery", "dramatiq")):
            for part in ("-front", "-high", "", "-low"):
                client.create_queue(QueueName=name + part, Attributes={"VisibilityTimeout": "30"})

    def push_raw(self, engine: str, queue: str, raw: bytes) -> None:
        name = self.queues(engine, queue)[0]
        client = self._server.client()
        url = client.get_queue_url(QueueName=name)["QueueUrl"]
        client.send_message(QueueUrl=url, MessageBody=base64.b64encode(raw).decode())

    def native_call(self, engine: str) -> NativeCall:
        if engine == "celery":
            url = f"sqs://{KEY}:{SECRET}@{self._server.endpoint.removeprefix('http://')}//"
            return celery_call(url, region=REGION, is_secure=False)
        from dramatiq_sqs import SQSBroker

        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
        call = dramatiq_call(SQSBroker(middleware=[], endpoint_url=self._server.endpoint, **keys))
        return lambda name, args, kwargs, queue: call(name, args, kwargs, self.queues("dramatiq", queue)[0])


def celery_call(url: str, **transport: Any) -> NativeCall:
    """A plain Celery producer, with these options of its transport."""
    from celery import Celery

    app = Celery(broker=url, set_as_current=False)
    app.conf.broker_transport_options = transport
    return lambda name, args, kwargs, queue: app.send_task(name, args, kwargs, queue=queue)


def dramatiq_call(broker: Any) -> NativeCall:
    """A plain Dramatiq producer on this broker of its own."""
    from dramatiq import Message

    def send(name: str, args: list[Any], kwargs: dict[str, Any], queue: str) -> None:
        broker.declare_queue(queue)
        broker.enqueue(Message(queue_name=queue, actor_name=name, args=tuple(args), kwargs=kwargs, options={}))

    return send
