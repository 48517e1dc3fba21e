"""The servers that tests start: they end with their tests, and can be hung and restarted."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers import RedisServer, some_redis, until

ROOT = Path(__file__).parent.parent.parent

#: Starts a server, tells where, and is killed.
KILLED = """
import os, signal
from tests.servers import RedisServer
server = RedisServer()
server.start()
print(server.port, server.directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.service("redis")


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel kills a child with its parent")
def test_server_dies_with_its_tests() -> None:
    """A test process that is killed leaves no server behind."""
    some_redis()
    process = subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, capture_output=True, text=True, check=False)
    port, directory = process.stdout.split()
    client = impatient(int(port))

    until(lambda: not answers(client), 20, "the server has gone")

    assert -signal.SIGKILL == process.returncode
    client.close()
    shutil.rmtree(directory)


def test_server_may_hang_and_go_on() -> None:
    """A server that is paused answers nobody, and is what it was when resumed."""
    with RedisServer() as server:
        client = impatient(server.port)
        server.cli().set("a", "1")

        server.pause()
        assert not answers(client)
        server.resume()

        assert until(lambda: answers(client), 20, "the server goes on")
        assert b"1" == server.cli().get("a")
        client.close()


def test_server_is_restarted_where_it_was() -> None:
    """After a restart the URL is the same, and so is what was written to the disk."""
    with RedisServer(appendonly=True, appendfsync="always", password="secret") as server:
        url = server.url()
        server.cli().set("a", "1")

        server.stop(signal.SIGKILL)
        server.start()

        assert (url, b"1") == (server.url(), server.cli().get("a"))


def impatient(port: int) -> redis.Redis:
    return redis.Redis(port=port, socket_timeout=0.2, retry=Retry(NoBackoff(), 0))


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
