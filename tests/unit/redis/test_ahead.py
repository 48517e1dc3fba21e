"""An answer that comes later: to the right question, whatever else its thread asks meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskbridge.errors import StoreUnavailable, StoreUnfit
from taskbridge.redis.server import Server, bulk, pack
from tests.servers import RedisServer

pytestmark = pytest.mark.service("redis")


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def server(running: RedisServer) -> Iterator[Server]:
    server = Server(running.url())
    yield server
    server.close()


def test_an_answer_waits_until_it_is_asked_for(server: Server):
    """Other questions of the thread are answered first, each with its own answer, and it is there still."""
    early = server.ahead(pack(("ECHO", "early")))

    assert [b"one", b"two"] == [server.call("ECHO", "one"), server.call("ECHO", "two")]
    assert [b"early", b"early"] == [early.reply(), early.reply()]


def test_one_follows_another(server: Server):
    """Each keeps its own answer, in whatever order they are read."""
    asked = [server.ahead(pack(("ECHO", str(n)))) for n in range(3)]

    assert [b"2", b"1", b"0"] == [one.reply() for one in reversed(asked)]


def test_an_error_is_of_who_asked(server: Server):
    """It is raised where the answer is read, and not for the thread's next question."""
    wrong = server.ahead(pack(("INCR",)))

    assert b"mine" == server.call("ECHO", "mine")
    with pytest.raises(StoreUnfit, match="wrong number of arguments"):
        wrong.reply()


def test_a_forgotten_script_is_loaded_and_run(server: Server):
    """As for any other call: the server may have been restarted, or its scripts flushed."""
    source = "return 'ran'"
    server.remember(source)
    sha = server.call("SCRIPT", "LOAD", source)
    server.call("SCRIPT", "FLUSH")

    assert b"ran" == server.ahead(b"".join((b"*3\r\n", *map(bulk, ("EVALSHA", sha, 0))))).reply()


def test_a_server_that_goes_away_is_told_to_who_asked():
    """As StoreUnavailable; the next question finds it when it is back."""
    with RedisServer() as running:
        server = Server(running.url())
        server.call("PING")
        running.stop()
        with pytest.raises(StoreUnavailable):
            server.ahead(pack(("ECHO", "early"))).reply()
        running.start()

        assert b"back" == server.call("ECHO", "back")
        server.close()
