"""A drain from every engine on every broker: what native producers, we and anybody have left there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from taskbridge import Bridge, Settings
from taskbridge.config import BackendSettings
from taskbridge.drain.report import Report
from taskbridge.message import new_id
from taskbridge.operations.drain import drain_of
from taskbridge.store.redis.outbox import RedisOutbox
from taskbridge.testing import a_message
from taskbridge.testing.suite_notes import QUEUE
from tests.servers import RedisServer, until

from .places import BrokerPlace, RedisPlace, SqsPlace
from .rabbit_place import RabbitPlace

OURS = 30


@pytest.fixture(scope="module")
def another_redis() -> Iterator[RedisServer]:
    """A Redis that is not the store."""
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["redis", "another redis", "rabbitmq", "sqs"])
def place(
    request: pytest.FixtureRequest, redis_server: RedisServer, another_redis: RedisServer
) -> Iterator[BrokerPlace]:
    """A broker of each kind, empty."""
    redis_server.cli().flushall()
    another_redis.cli().flushall()
    found: BrokerPlace = RedisPlace(another_redis if request.param == "another redis" else redis_server)
    if request.param == "rabbitmq":
        found = RabbitPlace(request.getfixturevalue("rabbit"))
    elif request.param == "sqs":
        found = SqsPlace(request.getfixturevalue("sqs_server"))
    found.empty()
    yield found
    found.empty()


@pytest.fixture(params=["celery", "dramatiq"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bridge(engine: str, place: BrokerPlace, redis_server: RedisServer) -> Iterator[Bridge]:
    """The old backend is of this engine on this broker, the new one is the other engine on Redis."""
    new = {"celery": "dramatiq", "dramatiq": "celery"}[engine]
    old = BackendSettings(engine=engine, broker_url=place.url())
    settings = Settings(backend=new, broker_url=redis_server.url(), store_url=redis_server.url(), backends={"old": old})
    with closing(Bridge(settings)) as made:
        yield made


def drain(bridge: Bridge) -> Report:
    """Drain all, whoever would take it."""
    one = drain_of(bridge, "old", bridge.settings.backend, [QUEUE], new_id(), force=True)
    list(one.run())
    return one.report()


def moved(bridge: Bridge) -> list[int]:
    """The numbers of the messages that lie in the new backend's queue."""
    return sorted(msgspec.json.decode(one.args)[0] for one in bridge.backend(bridge.settings.backend).scan(QUEUE, 999))


def fill(bridge: Bridge, place: BrokerPlace, engine: str) -> None:
    """A message of the engine's own producer, many of ours, and bytes that are none."""
    args = [msgspec.Raw(b"[%d]" % n) for n in range(1, OURS + 1)]
    bridge.backend("old").publish([a_message(queue=QUEUE, args=one) for one in args])
    place.native_call(engine)("suite.plain", [0], {}, QUEUE)
    place.push_raw(engine, QUEUE, b"no message")
    until(lambda: OURS + 2 == bridge.backend("old").depth(QUEUE), 10, "all lie there")


def test_all_that_can_be_read_moves(engine: str, place: BrokerPlace, bridge: Bridge):
    """Native and ours; bytes that are no message stay, and are told."""
    fill(bridge, place, engine)

    report = drain(bridge)

    assert list(range(OURS + 1)) == moved(bridge)
    assert OURS + 1 == report.moved
    assert [1] == [one.many for one in report.staying]
    assert "it cannot be read" in report.staying[0].why
    until(lambda: 1 == bridge.backend("old").depth(QUEUE), 10, "it lies where it lay")


@pytest.mark.parametrize("place", ["rabbitmq", "sqs"], indirect=True)
def test_what_a_look_gave_back_is_seen_by_the_next(engine: str, place: BrokerPlace, bridge: Bridge):
    """Also where the broker says a moment later than it has it that it lies there."""
    fill(bridge, place, engine)
    depths = iter([OURS + 2, 0])

    with closing(bridge.backend("old").leftovers([QUEUE], new_id(), bridge.store, None)) as leftovers:
        leftovers._depth = lambda: next(depths)  # type: ignore[attr-defined]
        seen = [sum(map(len, leftovers.look())) for _ in range(2)]

    assert [OURS + 2] * 2 == seen


def test_killed_before_it_could_forget_it_finds_copies(
    engine: str, place: BrokerPlace, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
):
    """The store had taken them over: the next drain recognises what the broker shows again."""
    fill(bridge, place, engine)

    class Killed(BaseException):
        """As SIGKILL, but that connections are closed."""

    adopt = RedisOutbox.adopt

    def dies(outbox: RedisOutbox, copies: object, shelf: str = "", backend: str = "") -> object:
        adopt(outbox, [msgspec.structs.replace(one, tag="") for one in copies], shelf, backend)  # type: ignore[attr-defined]
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RedisOutbox, "adopt", dies)
        with pytest.raises(Killed):
            drain(bridge)
    kept = bridge.store.messages.counts()[QUEUE, "READY"]

    reports: list[Report] = []

    def dealt() -> tuple[int, int]:
        """How many copies were recognised so far, and how many messages moved."""
        return sum(one.copies for told in reports for one in told.tasks), sum(told.moved for told in reports)

    until(lambda: reports.append(drain(bridge)) or OURS < sum(dealt()), 60, "what was in its hand is shown again")

    copies, went = dealt()
    assert 0 < kept == copies
    assert OURS + 1 == copies + went
    assert went == len(moved(bridge))


@pytest.mark.parametrize("place", ["redis", "another redis", "rabbitmq"], indirect=True)
def test_delay_of_the_engine_becomes_one_of_the_store(engine: str, place: BrokerPlace, bridge: Bridge):
    """The message is not the new backend's before its time. SQS hides what Dramatiq has delayed there."""
    queue = place.name_of(engine, QUEUE)
    if engine == "celery":
        with closing(place.celery_app()) as app:
            app.send_task("suite.plain", [7], queue=queue, countdown=60)
    else:
        from dramatiq import Message

        message: Message[None] = Message(queue_name=queue, actor_name="suite.plain", args=(7,), kwargs={}, options={})
        with closing(place.dramatiq_broker()) as broker:
            broker.declare_queue(queue)
            broker.enqueue(message, delay=60_000)
    until(lambda: bridge.backend("old").depth(QUEUE), 10, "it lies there")

    report = drain(bridge)

    assert (1, 1, []) == (report.moved, report.tasks[0].delayed, moved(bridge))
    assert {(QUEUE, "DELAYED"): 1} == bridge.store.messages.counts()
