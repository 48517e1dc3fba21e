"""BackendSuite on memory, and on both engines twice: under our worker and under the engine's own command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.errors import NotSupported
from taskbridge.testing.backend_suite import Arena, BackendSuite, notes_in
from taskbridge.testing.memory_backend import MemoryBackend
from taskbridge.testing.suite_notes import QUEUE
from taskbridge.testing.suite_tasks import declare
from taskbridge.testing.worker import Worker
from tests.rabbitmq import RabbitServer, SomeRabbit
from tests.servers import RedisServer, missing
from tests.sqs import SqsServer

from .arenas import arena_of
from .places import BrokerPlace, RedisPlace, SqsPlace
from .rabbit_place import QuorumPlace, RabbitPlace


@pytest.fixture(scope="module")
def redis_place(redis_server: RedisServer) -> RedisPlace:
    return RedisPlace(redis_server)


@pytest.fixture(scope="module")
def rabbitmq_place(rabbit: SomeRabbit) -> RabbitPlace:
    return RabbitPlace(rabbit)


@pytest.fixture(scope="module")
def quorum_place(rabbit: SomeRabbit) -> QuorumPlace:
    return QuorumPlace(rabbit if isinstance(rabbit, RabbitServer) else missing("rabbitmq-server of our own"))


@pytest.fixture(scope="module")
def sqs_place(sqs_server: SqsServer) -> SqsPlace:
    return SqsPlace(sqs_server)


class EngineSuite(BackendSuite):
    """The suite on an engine and a broker; one worker for all cases."""

    engine = "celery"
    broker = "redis"
    kind = "ours"

    @pytest.fixture(scope="class")
    @classmethod
    def arena_of_class(
        cls, request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Arena]:
        place: BrokerPlace = request.getfixturevalue(f"{cls.broker}_place")
        directory = tmp_path_factory.mktemp(f"{cls.engine}-{cls.broker}-{cls.kind}")
        with arena_of(cls.engine, cls.kind, place, redis_server, directory) as arena:
            yield arena

    @pytest.fixture
    def arena(self, arena_of_class: Arena) -> Arena:
        return arena_of_class


class TestCelery(EngineSuite):
    """Celery's messages on Redis under ``taskbridge worker``."""


class TestDramatiq(EngineSuite):
    """Dramatiq's messages on Redis under ``taskbridge worker``."""

    engine = "dramatiq"


class TestCeleryOnSqs(EngineSuite):
    """Celery's messages on SQS under ``taskbridge worker``."""

    broker = "sqs"


class TestDramatiqOnSqs(EngineSuite):
    """Dramatiq's messages on SQS under ``taskbridge worker``."""

    engine = "dramatiq"
    broker = "sqs"


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


class TestCeleryOnRabbitMQ(EngineSuite):
    """Celery's messages on RabbitMQ under ``taskbridge worker``."""

    broker = "rabbitmq"


class TestDramatiqOnRabbitMQ(EngineSuite):
    """Dramatiq's messages on RabbitMQ under ``taskbridge worker``."""

    engine = "dramatiq"
    broker = "rabbitmq"


@pytest.mark.soak
class TestCeleryOnQuorumQueues(EngineSuite):
    """Celery's messages in quorum queues of RabbitMQ's; their order depends on a policy."""

    broker = "quorum"


@pytest.mark.soak
class TestDramatiqOnQuorumQueues(EngineSuite):
    """Dramatiq's messages there."""

    engine = "dramatiq"
    broker = "quorum"


@pytest.mark.soak
class TestCeleryOnRabbitMQItsOwnCommand(NativeSuite):
    """``celery -A taskbridge_celery.command worker`` on RabbitMQ."""

    broker = "rabbitmq"


@pytest.mark.soak
class TestDramatiqOnRabbitMQItsOwnCommand(NativeSuite):
    """``dramatiq taskbridge_dramatiq.command:broker`` on RabbitMQ."""

    engine = "dramatiq"
    broker = "rabbitmq"


@pytest.mark.soak
@pytest.mark.timeout(300)
class TestCeleryOnSqsItsOwnCommand(NativeSuite):
    """``celery -A taskbridge_celery.command worker`` on kombu's transport for SQS."""

    broker = "sqs"


@pytest.mark.soak
@pytest.mark.timeout(300)
class TestDramatiqOnSqsItsOwnCommand(NativeSuite):
    """``dramatiq taskbridge_dramatiq.command:broker`` on dramatiq-sqs."""

    engine = "dramatiq"
    broker = "sqs"


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
