"""A primary that becomes a replica under a connection that stands is away, and is no store that refuses us."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskbridge.errors import StoreUnavailable
from taskbridge.redis.server import Server
from tests.servers import RedisServer

pytestmark = pytest.mark.service("redis")


@pytest.fixture
def demoted(redis_binary: str) -> Iterator[Server]:
    with RedisServer(redis_binary) as there:
        server = Server(there.url())
        server.call("PING")
        there.cli().replicaof("127.0.0.1", 1)
        yield server
        server.close()


@pytest.mark.parametrize(
    "command", [("SET", "a", "b"), ("EVAL", "return redis.call('SET', 'a', 'b')", 0), ("WAIT", 1, 1)]
)
def test_a_write_to_a_replica_is_tried_again(demoted: Server, command: tuple[str | int, ...]) -> None:
    """A worker waits then, and goes on with the next primary: on old servers and new, in a script or not."""
    with pytest.raises(StoreUnavailable):
        demoted.call(*command)
