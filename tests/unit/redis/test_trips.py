"""Round trips are told of: each one that was answered, once, and how long the answer took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from taskbridge.errors import StoreUnavailable
from taskbridge.redis.server import Server, pack
from tests.servers import RedisServer, free_port

pytestmark = pytest.mark.service("redis")


class Trips:
    """Writes down how long each took, seconds."""

    def __init__(self) -> None:
        self.took_s: list[float] = []

    def begin(self) -> float:
        return time.monotonic()

    def end(self, began_s: float) -> None:
        self.took_s.append(time.monotonic() - began_s)


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[Server]:
    server = Server(redis_server.url())
    server.trips = Trips()
    yield server
    server.close()


def test_each_trip_is_told_once(server: Server):
    """A call, a pipeline, and an answer that comes later are one each."""
    server.call("ECHO", "one")
    server.pipeline([("ECHO", str(n)) for n in range(5)])
    server.ahead(pack(("ECHO", "early"))).reply()

    assert isinstance(server.trips, Trips)
    assert 3 == len(server.trips.took_s)


def test_a_trip_takes_as_long_as_the_server(server: Server):
    """The server's time counts; what the caller does before it asks for an answer does not."""
    key = f"{{trips}}:{os.urandom(4).hex()}"
    server.call("BLPOP", key, 0.2)
    early = server.ahead(pack(("ECHO", "early")))
    time.sleep(0.2)
    early.reply()

    assert isinstance(server.trips, Trips)
    slow, fast = server.trips.took_s
    assert slow >= 0.19
    assert fast < 0.1


def test_what_was_not_answered_is_no_trip():
    """A server that is away would pass for a fast one."""
    server = Server(f"redis://127.0.0.1:{free_port()}/0")
    server.trips = Trips()

    with pytest.raises(StoreUnavailable):
        server.call("PING")

    assert [] == server.trips.took_s
