"""The end of what waits in a queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from taskbridge import Bridge, Lock, RateLimit, Settings
from taskbridge.copies import copy_of
from taskbridge.errors import ConfigError, StoreUnavailable
from taskbridge.events import Buried, Dropped, Event
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


def test_listeners_are_told_of_what_is_no_message(redis_server: RedisServer):
    """It went to the dead letters, as when a worker meets it."""
    redis_server.cli().flushall()
    bridge, heard = Bridge(Settings(broker_url=redis_server.url())), list[Buried]()
    bridge.events.subscribe(heard.append, Buried)
    bridge.store.server.call("LPUSH", "mail", b"\x00 no message")  # type: ignore[attr-defined]

    list(purge_of(bridge).run())

    assert [("", "mail", "celery")] == [(one.task, one.queue, one.backend) for one in heard]
    assert [one.id for one in heard] == [record.id for record in bridge.store.dead.list(10)]
    bridge.close()


def test_messages_that_come_meanwhile_stay(bridge: Bridge):
    """No more are ended than waited when it began, so that a busy producer cannot keep it going."""
    backend = bridge.backend(bridge.settings.backend)
    backend.publish([a_message() for _ in range(3)])
    purge = purge_of(bridge)
    backend.publish([late := a_message()])

    list(purge.run())

    assert 3 == purge.ended
    assert [late.id] == waiting(bridge)


def test_what_would_wait_for_a_lock_or_a_limit_ends(bridge: Bridge):
    """It is not to run, so it waits for nothing; who has the lock goes on, and no token is spent."""
    limit = RateLimit("1/h", burst=1, name="slow")
    locked = bridge.task(name="locked", queue="mail", lock=Lock("all"))(lambda: None)
    limited = bridge.task(name="limited", queue="mail", rate_limit=limit)(lambda: None)
    backend = bridge.backend(bridge.settings.backend)
    for task in (locked, limited, limited):
        task.enqueue()

    with bridge.lock("all"):
        purge = purge_of(bridge)
        list(purge.run())

    assert (3, 0, 0) == (purge.ended, purge.recognised, backend.depth("mail"))
    assert {} == bridge.store.messages.counts()
    with bridge.limit(limit).hold(timeout=0):
        pass


def test_a_shadows_copy_is_gone_and_no_more(bridge: Bridge):
    """It takes no lock and waits for none, has no record, and nobody is told of an end that it cannot have."""
    heard: list[Event] = []
    bridge.events.subscribe(heard.append)
    bridge.task(name="t", queue="mail", lock=Lock("all"), shadow_safe=True)(lambda: None)
    original = a_message(task="t", queue="mail", enqueued_at_ms=bridge.clock.now_ms())
    copies = [copy_of(original.copy(id=id), "s1") for id in ("a", "b")]
    bridge.backend(bridge.settings.backend).publish(copies)

    with bridge.lock("all"):
        purge = purge_of(bridge)
        list(purge.run())

    assert (2, [], []) == (purge.ended, waiting(bridge), heard)
    assert [None, None] == [bridge.store.messages.look(copy.id) for copy in copies]
    assert {} == bridge.store.messages.counts()


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


def test_paused_messages_are_purged(bridge: Bridge):
    """A pause keeps nothing from its end: what waits in a paused queue does not move to the store."""
    messages = [a_message() for _ in range(3)]
    bridge.backend(bridge.settings.backend).publish(messages)
    bridge.store.control.pause("queue", "mail", who="me", why="")
    purge = purge_of(bridge)

    list(purge.run())

    assert (3, {}) == (purge.ended, bridge.store.messages.counts())
