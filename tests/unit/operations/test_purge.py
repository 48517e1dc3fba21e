"""The end of what waits in a queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from taskbridge import Bridge, Settings
from taskbridge.errors import ConfigError, StoreUnavailable
from taskbridge.events import Dropped, Event
from taskbridge.operations.purge import Purge
from taskbridge.store import Begin, Begun, Claims
from taskbridge.testing import a_message
from tests.servers import RedisServer


@pytest.fixture(params=["celery", "dramatiq", "memory"])
def bridge(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[Bridge]:
    redis_server.cli().flushall()
    made = Bridge(Settings(backend=request.param, broker_url=redis_server.url()))
    yield made
    made.close()


def purge_of(bridge: Bridge) -> Purge:
    return Purge(bridge, bridge.backend(bridge.settings.backend), "mail", "purger")


def waiting(bridge: Bridge) -> list[str]:
    return [one.id for one in bridge.backend(bridge.settings.backend).scan("mail", 1_000)]


def test_listeners_are_told(bridge: Bridge):
    """Each end is one event; none is told as begun."""
    heard: list[Event] = []
    bridge.events.subscribe(heard.append)
    bridge.backend(bridge.settings.backend).publish([a_message(), a_message()])

    list(purge_of(bridge).run())

    assert ["purged", "purged"] == [one.how for one in heard if isinstance(one, Dropped)]
    assert 2 == len(heard)


def test_messages_that_come_meanwhile_stay(bridge: Bridge):
    """No more are ended than waited when it began, so that a busy producer cannot keep it going."""
    backend = bridge.backend(bridge.settings.backend)
    backend.publish([a_message() for _ in range(3)])
    purge = purge_of(bridge)
    backend.publish([late := a_message()])

    list(purge.run())

    assert 3 == purge.ended
    assert [late.id] == waiting(bridge)


def test_copy_of_what_has_ended_is_recognised(bridge: Bridge):
    """It is acknowledged, and not counted as purged."""
    backend = bridge.backend(bridge.settings.backend)
    backend.publish([message := a_message()])
    list(purge_of(bridge).run())
    backend.publish([message])
    again = purge_of(bridge)

    list(again.run())

    assert (0, 1) == (again.ended, again.recognised)
    assert [] == waiting(bridge)


def test_left_early_it_gives_the_rest_back(bridge: Bridge):
    """In the order in which it was."""
    messages = [a_message() for _ in range(5)]
    bridge.backend(bridge.settings.backend).publish(messages)

    with closing(purge_of(bridge).run()) as steps:
        next(steps)

    assert [one.id for one in messages[1:]] == waiting(bridge)


def test_error_gives_the_rest_back(bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """The message that it failed on included."""
    claims = type(bridge.store.claims)
    messages = [a_message() for _ in range(3)]
    bridge.backend(bridge.settings.backend).publish(messages)
    begin = claims.begin

    def away(self: Claims, request: Begin) -> Begun:
        if request.message.id == messages[1].id:
            raise StoreUnavailable("the store is away")
        return begin(self, request)

    monkeypatch.setattr(claims, "begin", away)

    with pytest.raises(StoreUnavailable):
        list(purge_of(bridge).run())

    assert [one.id for one in messages[1:]] == waiting(bridge)


def test_name_that_no_queue_has_is_refused(bridge: Bridge):
    """Before anything is touched."""
    with pytest.raises(ConfigError, match="expected a queue name"):
        Purge(bridge, bridge.backend(bridge.settings.backend), "no queue", "purger")
