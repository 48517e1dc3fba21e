"""A thread has a connection of its own, for as long as it lives."""

from __future__ import annotations

import threading

from taskbridge.redis.server import Server
from tests.servers import RedisServer, until

#: More than redis-py lets a pool have unless it is told.
MANY = 130


def ask(server: Server, answers: list[object], before: threading.Barrier | None = None) -> threading.Thread:
    """Ask in a thread of its own; once all others are there too, if that is asked for."""

    def run() -> None:
        if before is not None:
            before.wait(30)
        answers.append(server.call("PING"))
        if before is not None:
            before.wait(30)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_connections_of_threads_that_have_ended_are_used_again(redis_server: RedisServer) -> None:
    """A relay hands messages over in a thread for each load: however many there were, there are few connections."""
    server, answers = Server(redis_server.url()), list[object]()
    before = redis_server.cli().info("clients")["connected_clients"]

    for _ in range(MANY):
        ask(server, answers).join()

    assert [b"PONG"] * MANY == answers
    until(lambda: redis_server.cli().info("clients")["connected_clients"] <= before + 3, 20, "they are given back")
    server.close()


def test_as_many_threads_as_there_are_may_ask_at_once(redis_server: RedisServer) -> None:
    """Each over a connection of its own."""
    server, answers, before = Server(redis_server.url()), list[object](), threading.Barrier(MANY)

    for thread in [ask(server, answers, before) for _ in range(MANY)]:
        thread.join()

    assert [b"PONG"] * MANY == answers
    server.close()
