"""What the command line does with queues on RabbitMQ: count, purge, look, and say what is amiss."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskbridge import Bridge, Settings
from taskbridge.config import BackendSettings
from taskbridge.operations.checkup import checkup
from taskbridge.operations.depths import depths
from taskbridge.operations.purge import Purge
from taskbridge.operations.whereabouts import whereabouts
from tests.servers import RedisServer, free_port

from .conftest import Desk

pytestmark = pytest.mark.service("rabbitmq")


@pytest.fixture
def bridge(desk: Desk, redis_server: RedisServer) -> Iterator[Bridge]:
    """On the desk's engine, with the other one beside it."""
    redis_server.cli().flushall()
    url = desk.rabbit.url()
    backends = {name: BackendSettings(engine=name, broker_url=url) for name in ("celery", "dramatiq")}
    made = Bridge(Settings(backend=desk.engine, backends=backends, store_url=redis_server.url()))
    yield made
    made.close()


def test_a_purge_ends_all_parts_of_a_queue(bridge: Bridge, desk: Desk):
    """As many as waited, bands and all, and nothing else."""
    backend = bridge.backend(desk.engine)
    messages = [desk.message(f"m{n}", priority=priority) for n, priority in enumerate((0, 5, 9) * 8)]
    backend.publish(messages)
    backend.publish([desk.message("other", queue=desk.other)])

    purge = Purge(bridge, backend, desk.queue, "purger")
    list(purge.run())

    assert (24, 24) == (purge.waiting, purge.ended)
    assert {"DONE"} == {record.state for one in messages if (record := bridge.store.messages.look(one.id))}
    assert (0, 1) == (backend.depth(desk.queue), backend.depth(desk.other))


def test_a_look_finds_or_says_that_it_cannot(bridge: Bridge, desk: Desk):
    """RabbitMQ shows a message only to who takes it."""
    bridge.backend(desk.engine).publish([desk.message("m")])

    found = whereabouts(bridge, "m", scan=100, queues=[desk.queue])

    assert ("unknown", 0) == (found.state, found.scanned)
    assert any("its queues were not looked through" in text for text in found.problems)
    assert 1 == bridge.backend(desk.engine).depth(desk.queue), "and it is still there"


def test_depths_count_both_engines_queues(bridge: Bridge, desk: Desk):
    """Of one name, told apart."""
    other = "dramatiq" if desk.engine == "celery" else "celery"
    bridge.backend(desk.engine).publish([desk.message("a"), desk.message("b", priority=9)])
    bridge.backend(other).publish([desk.message("c")])

    (depth,) = depths(bridge, [desk.queue]).queues

    assert {desk.engine: 2, other: 1} == {name: side.waiting for name, side in depth.backends.items()}


@pytest.mark.parametrize(
    ("where", "told"),
    [("{there}", "answers; "), ("{there_as_another}", "refuses us"), ("{nowhere}", "is away")],
    ids=["there", "refused", "away"],
)
def test_check_says_how_the_broker_is(desk: Desk, redis_server: RedisServer, where: str, told: str):
    """Without its password."""
    there = desk.rabbit.url()
    another = there.replace("guest:guest@", "guest:hush@")
    url = where.format(there=there, there_as_another=another, nowhere=f"amqp://guest:hush@127.0.0.1:{free_port()}/")
    bridge = Bridge(Settings(backend=desk.engine, broker_url=url, store_url=redis_server.url()))

    (text,) = [one.text for one in checkup(bridge, [], {}) if one.about.startswith("broker")]

    assert another != there
    assert told in text
    assert "hush" not in text
    bridge.close()
