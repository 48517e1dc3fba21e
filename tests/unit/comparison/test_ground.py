"""The place of a run: taken only where nobody is, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from taskbridge import Bridge, Settings
from taskbridge.comparison.ground import Ground, ground
from taskbridge.comparison.sides import sides_of
from taskbridge.errors import BrokerUnavailable, ConfigError
from taskbridge.testing import a_message
from tests.servers import RedisServer, free_port

QUEUES = ["emails", "slow"]


@pytest.fixture(params=["celery", "dramatiq"])
def engine(request: pytest.FixtureRequest, redis_server: RedisServer) -> str:
    redis_server.cli().flushall()
    return str(request.param)


@contextmanager
def placed(engine: str, url: str, name: str = "mine", store_url: str = "") -> Iterator[Ground]:
    settings = Settings(broker_url=url)
    (side,) = sides_of([engine], {}, store_url, settings)
    with ground(name, side, settings) as place:
        yield place


def use(bridge: Bridge) -> None:
    """Leave of everything a bit: messages in each band, delayed ones, some on a shelf, a worker's beat, the schema."""
    backend = bridge.backend(bridge.settings.backend)
    backend.publish([a_message(queue=queue, priority=priority) for queue in QUEUES for priority in (2, 5, 8)])
    bridge.store.outbox.put([a_message(queue="emails")], 60_000)
    assert bridge.store.fitness()
    assert backend.consumer(QUEUES, "host.1", bridge.store).fetch(2)
    backend.keeper(QUEUES).beat(["host.1"])


@pytest.mark.parametrize("store", [0, 1])
def test_nothing_of_it_is_left_and_nothing_else_is_gone(engine: str, store: int, redis_server: RedisServer):
    """Neither on the broker nor in the store, be they one or two; production in the same server stays as it is."""
    production = Bridge(Settings(backend=engine, broker_url=redis_server.url()))
    use(production)
    before = sorted(redis_server.cli().keys())

    with placed(engine, redis_server.url(), store_url=redis_server.url(store)) as place:
        place.take(QUEUES)
        use(place.bridge)
        assert len(before) < redis_server.cli().dbsize()
        place.remove()
        stored = place.store.call("KEYS", "{mine}*")

    assert before == sorted(redis_server.cli().keys())
    assert [] == stored
    production.close()


def test_a_namespace_in_use_is_refused(engine: str, redis_server: RedisServer):
    """By what a worker has written there first, and it stays."""
    with placed(engine, redis_server.url()) as place:
        place.refuse_used()
        place.bridge.store.fitness()

        with pytest.raises(ConfigError, match="the namespace 'mine' is in use: choose another --namespace"):
            place.refuse_used()


def test_queues_with_messages_are_refused_and_stay(engine: str, redis_server: RedisServer):
    """Removing them is for who has taken them."""
    with placed(engine, redis_server.url()) as place:
        backend = place.bridge.backend(engine)
        backend.publish([a_message(queue="slow")])

        with pytest.raises(ConfigError, match="1 messages wait in mine-slow"):
            place.take(QUEUES)
        place.remove()

        assert 1 == backend.depth("slow")


def test_a_broker_that_is_away_is_told(engine: str):
    """Before anything is started."""
    with placed(engine, f"redis://127.0.0.1:{free_port()}") as place, pytest.raises(BrokerUnavailable, match="is away"):
        place.refuse_used()


@pytest.mark.parametrize("name", ["a b", "{x}", "*", "9", "x" * 40])
def test_a_name_that_no_queue_can_have_is_refused(engine: str, redis_server: RedisServer, name: str):
    """It stands in front of their names, and in a pattern of keys."""
    with pytest.raises(ConfigError, match="--namespace: expected a word"), placed(engine, redis_server.url(), name):
        pass
