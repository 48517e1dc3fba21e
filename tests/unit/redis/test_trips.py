"""Round trips are told of: each one that was answered, once, and how long the answer took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from taskbridge.errors import StoreUnavailable
from taskbridge.redis.server import Server, pack
from tests.servers import RedisServer, free_port, until

pytestmark = pytest.mark.service("redis")


class Trips:
    """Writes down when each began and how long it took, seconds."""

    def __init__(self) -> None:
        self.began_s: list[float] = []
        self.took_s: list[float] = []

    def begin(self) -> float:
        self.began_s.append(time.monotonic())
        return self.began_s[-1]

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
    asked_s = time.monotonic()
    early.reply()

    assert isinstance(server.trips, Trips)
    assert server.trips.took_s[0] >= 0.19
    assert server.trips.began_s[1] >= asked_s


def test_what_is_done_meanwhile_is_done_while_the_server_works(server: Server):
    """It takes no time of its own, and counts for none of the server's; what does nothing leaves a trip as it is."""
    key = f"{{trips}}:{os.urandom(4).hex()}"
    done: list[bool] = []

    def meanwhile() -> bool:
        time.sleep(0.3)
        return done.pop(0)

    def ask() -> list[float]:
        done[:], server.trips = [True, False], Trips()
        began_s = time.monotonic()
        server.call("BLPOP", key, 0.2)
        took_s = time.monotonic() - began_s
        server.call("ECHO", "one")
        return [took_s, *server.trips.took_s]

    server.meanwhile = meanwhile

    def parted() -> bool:
        took_s, worked, idle = ask()
        assert took_s >= 0.3
        assert idle >= 0.3
        return took_s < 0.45 and worked < 0.2

    until(parted, 20, "a call in which the one goes on beside the other, on a machine that is not too busy for it")


def test_what_was_not_answered_is_no_trip():
    """A server that is away would pass for a fast one."""
    server = Server(f"redis://127.0.0.1:{free_port()}/0")
    server.trips = Trips()

    with pytest.raises(StoreUnavailable):
        server.call("PING")

    assert [] == server.trips.took_s
