"""Queues of the same names that nobody here serves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskbridge import Bridge, Settings
from taskbridge.config import BackendSettings
from taskbridge.operations.unserved import Unserved, unserved
from taskbridge.testing import a_message
from tests.servers import RedisServer, free_port


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    redis_server.cli().flushall()
    return redis_server.url()


@pytest.fixture
def bridge(url: str) -> Iterator[Bridge]:
    old = BackendSettings(engine="celery", broker_url=url)
    away = BackendSettings(engine="dramatiq", broker_url=f"redis://127.0.0.1:{free_port()}")
    made = Bridge(Settings(broker_url=url, backends={"old": old, "away": away}))
    yield made
    made.close()


def test_other_engines_on_the_same_broker_are_seen(bridge: Bridge):
    """Also when the settings do not name them; a broker that is away does no harm."""
    bridge.backend("dramatiq").publish([a_message(queue="mail"), a_message(queue="mail", priority=9)])

    assert [Unserved(backend="dramatiq", queue="mail", waiting=2)] == unserved(bridge, ["celery"], ["mail", "other"])


def test_what_is_served_is_not_told(bridge: Bridge):
    """Under whichever name: the same engine on the same broker has the same queues."""
    bridge.backend("celery").publish([a_message(queue="mail")])

    assert [] == unserved(bridge, ["old"], ["mail"])
    assert ["celery"] == [one.backend for one in unserved(bridge, ["dramatiq"], ["mail"])]


def test_memory_has_no_neighbours():
    """A test's worker asks no server."""
    assert [] == unserved(Bridge(Settings(backend="memory")), ["memory"], ["mail"])
