"""How much waits at a broker and since when: one look at many queues, the same on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.backend import Backend, Level
from taskbridge.errors import BrokerUnavailable
from taskbridge.message import Message
from taskbridge.testing import a_message
from tests.servers import RedisServer, free_port

from .places import RedisPlace

pytestmark = pytest.mark.service("redis")

ENGINES = ("celery", "dramatiq")


@pytest.fixture(params=[*ENGINES, "memory"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def backend(engine: str, redis_server: RedisServer) -> Iterator[Backend]:
    redis_server.cli().flushall()
    bridge = Bridge(Settings(backend=engine, broker_url=redis_server.url()))
    yield bridge.backend(engine)
    bridge.close()


def sent(at_ms: int, **more: Any) -> Message:
    """A message that was enqueued then."""
    return a_message(**{"queue": "mail", "enqueued_at_ms": at_ms} | more)


def test_level_is_how_much_waits_and_since_when(backend: Backend):
    """In all bands, of the oldest; queue by queue as they were asked for, and nothing of one that is empty."""
    backend.publish([sent(5_000), sent(6_000), sent(7_000, priority=9), sent(3_000, priority=0), sent(4_000)])
    backend.publish([sent(9_000, queue="slow")])

    assert [Level(waiting=1, since_ms=9_000), Level(waiting=0), Level(waiting=5, since_ms=3_000)] == backend.levels(
        ["slow", "empty", "mail"]
    )
    assert [] == backend.levels([])


def test_delay_and_parking_are_not_waiting_for_a_worker(backend: Backend):
    """Since when it was last handed to the engine, or was first due."""
    backend.publish([sent(1_000, due_at_ms=2_000, released_at_ms=8_000)])
    backend.publish([sent(1_000, due_at_ms=6_000, queue="slow")])

    assert [8_000, 6_000] == [level.since_ms for level in backend.levels(["mail", "slow"])]


@pytest.mark.parametrize(("older", "let_on"), [(300, 1), (300, 3), (300, 40), (2, 5)])
def test_those_that_were_let_on_do_not_hide_older_ones(backend: Backend, older: int, let_on: int):
    """They lie at the front, and came to be waiting later."""
    backend.publish([sent(5_000 + n) for n in range(older)])
    backend.publish([sent(1_000, released_at_ms=90_000) for _ in range(let_on)], front=True)

    (level,) = backend.levels(["mail"])

    assert older + let_on == level.waiting
    assert 5_000 <= level.since_ms < 5_300


def test_only_those_that_were_let_on_are_there(backend: Backend):
    """Then it is since they were."""
    backend.publish([sent(1_000, released_at_ms=90_000 + n) for n in range(3)], front=True)

    assert [Level(waiting=3, since_ms=90_000)] == backend.levels(["mail"])


@pytest.mark.parametrize("engine", ENGINES)
def test_bytes_that_are_no_message_count_and_tell_nothing(engine: str, backend: Backend, redis_server: RedisServer):
    """Since when they wait nobody can say."""
    RedisPlace(redis_server).push_raw(engine, "mail", b"\xff\xfe")

    assert [Level(waiting=1)] == backend.levels(["mail"])


@pytest.mark.parametrize("engine", ENGINES)
def test_messages_of_plain_producers_tell_what_they_know(engine: str, backend: Backend, redis_server: RedisServer):
    """Dramatiq stamps its messages, Celery does not."""
    RedisPlace(redis_server).native_call(engine)("t", [], {}, "mail")

    (level,) = backend.levels(["mail"])

    assert (1, engine == "dramatiq") == (level.waiting, level.since_ms > 0)


@pytest.mark.parametrize(("engine", "trips"), [("celery", 3), ("dramatiq", 5)])
def test_many_queues_cost_a_few_trips(
    engine: str, trips: int, backend: Backend, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    """However many there are, and however much waits in each."""
    queues = [f"q{n}" for n in range(50)]
    for queue in queues:
        backend.publish([sent(5_000, queue=queue) for _ in range(20)])
        backend.publish([sent(5_000, queue=queue)], front=True)
    server: Any = backend.broker.server  # type: ignore[attr-defined]  # of a broker on Redis
    made: list[int] = []
    exchange = server.exchange
    monkeypatch.setattr(server, "exchange", lambda packed, n: made.append(n) or exchange(packed, n))

    levels = backend.levels(queues)

    assert [Level(waiting=21, since_ms=5_000)] * 50 == levels
    assert trips == len(made)


@pytest.mark.parametrize("engine", ENGINES)
def test_absent_broker_is_told(engine: str):
    """As one that is away."""
    bridge = Bridge(Settings(backend=engine, broker_url=f"redis://127.0.0.1:{free_port()}/0"))

    with pytest.raises(BrokerUnavailable):
        bridge.backend(engine).levels(["mail"])
