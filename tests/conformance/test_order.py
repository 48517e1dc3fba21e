"""The order in which a queue gives what was put into it: those that have waited already first, in their order."""

from __future__ import annotations

import pytest

from taskbridge import Bridge, Settings
from taskbridge.message import Message
from tests.servers import RedisServer

pytestmark = pytest.mark.service("redis")


@pytest.mark.parametrize("engine", ["celery", "dramatiq", "memory"])
def test_those_that_have_waited_are_fetched_first(redis_server: RedisServer, engine: str):
    """Behind those that are at the front for the same reason, before all others; a full broker's way is the same."""
    redis_server.cli().flushall()
    bridge = Bridge(Settings(backend=engine, broker_url=redis_server.url()))
    backend = bridge.backend(engine)

    def messages(names: str) -> list[Message]:
        return [Message(id=name, task="t", queue="mail") for name in names.split()]

    backend.publish(messages("a b"))
    backend.publish(messages("first second"), front=True)
    backend.publish(messages("third"), front=True)
    backend.publish(messages("fourth fifth"), front=True, kept=True)
    backend.publish(messages("c"))
    backend.publish(messages("d e"), kept=True)

    expected = ["first", "second", "third", "fourth", "fifth", "a", "b", "c", "d", "e"]
    assert (10, expected) == (backend.depth("mail"), [message.id for message in backend.scan("mail", 20)])
    fetched = backend.consumer(["mail"], "here", bridge.store).fetch(20)
    assert expected == [one.message.id for one in fetched if one.message]
    bridge.close()
