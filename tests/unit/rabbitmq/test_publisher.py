"""What is published is there: whatever becomes of queues and connections meanwhile."""

from __future__ import annotations

import os
import threading

import amqp
import msgspec
import pytest

from taskbridge.errors import BackendNotInstalled, BrokerUnavailable, ConfigError, PayloadTooLarge
from taskbridge.rabbitmq import consumer
from taskbridge.rabbitmq.broker import RabbitBroker
from tests.rabbitmq import RabbitServer, SomeRabbit
from tests.servers import in_time, missing, until

from .conftest import Desk
from .test_consumer import ids

pytestmark = pytest.mark.service("rabbitmq")


def test_what_was_published_is_there(desk: Desk):
    """When ``publish`` returns, the broker has all of it, in three batches, in order."""
    desk.publish(*(f"m{n}" for n in range(2_500)))

    assert 2_500 == desk.waiting(desk.name())
    assert 2_500 == desk.broker.depth(desk.queue)


def test_a_queue_that_is_deleted_is_made_again(desk: Desk):
    """The broker confirms what nobody would get; that is noticed, and published into a new queue."""
    desk.publish("one")
    desk.channel.queue_delete(desk.name())

    desk.publish("two", "three")

    assert 2 == desk.waiting(desk.name())


def test_a_queue_of_another_shape_is_taken_as_it_is(desk: Desk):
    """Somebody made it otherwise: with priorities, here."""
    desk.channel.queue_declare(desk.name(), durable=True, auto_delete=False, arguments={"x-max-priority": 5})

    desk.publish("one")
    (delivery,) = desk.consumer().fetch(5)

    assert delivery.message
    assert "one" == delivery.message.id


def test_queues_are_made_as_the_url_says(desk: Desk):
    """Classic ones else; an engine's own dead letters stay classic."""
    desk.publish("one", broker=desk.a_broker(queue_type="quorum"))
    (delivery,) = desk.consumer(queue_type="quorum").fetch(5)

    assert delivery.message
    with pytest.raises(amqp.PreconditionFailed, match="x-queue-type"):
        desk.channel.queue_declare(desk.name(), durable=True, auto_delete=False, arguments=shape(desk))


def shape(desk: Desk) -> dict[str, object]:
    """What the engine itself declares a queue with."""
    if desk.engine == "celery":
        return {}
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{desk.name()}.XQ"}


def test_queues_are_shaped_as_the_engine_shapes_them(desk: Desk):
    """So that its own workers and producers declare them without an error."""
    desk.publish("one")

    desk.channel.queue_declare(desk.name(), durable=True, auto_delete=False, arguments=shape(desk))
    if desk.engine == "dramatiq":
        ttl = {"x-message-ttl": 604_800_000}
        desk.channel.queue_declare(f"{desk.name()}.XQ", durable=True, auto_delete=False, arguments=ttl)


def test_what_the_broker_refuses_is_an_error(desk: Desk):
    """A queue of limited length that refuses: how many were refused is said, and none counts as sent."""
    arguments = {"x-max-length": 2, "x-overflow": "reject-publish"}
    desk.channel.queue_declare(desk.name(), durable=True, auto_delete=False, arguments=arguments)

    with pytest.raises(BrokerUnavailable, match="has refused 3 of 5 messages"):
        desk.publish("a", "b", "c", "d", "e")


def test_what_one_queue_refuses_is_sent_to_no_other_again(desk: Desk):
    """A refusal is an answer, and no broken connection: what others took lies there once."""
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    desk.channel.queue_declare(desk.name(), durable=True, auto_delete=False, arguments=arguments)
    desk.publish("there", queue=desk.other)
    mixed = [desk.message(str(n), queue=queue) for n in range(3) for queue in (desk.queue, desk.other)]

    with pytest.raises(BrokerUnavailable, match="has refused 2 of 6 messages"):
        desk.broker.publish(mixed)

    assert (1, 4) == (desk.waiting(desk.name()), desk.waiting(desk.broker.names.of(desk.other)))


@pytest.mark.parametrize("desk", ["celery"], indirect=True)
def test_what_the_broker_never_takes_is_too_large(desk: Desk):
    """By its ``max_message_size``; what is sent beside it meets the same answer, and may be sent again."""
    set_most = "N = {}, application:set_env(rabbit, max_message_size, N), persistent_term:put(max_message_size, N)"
    large = desk.message("large", args=msgspec.Raw(b'["' + b"x" * 200_000 + b'"]'))
    desk.node().evaluate(set_most.format(100_000))
    try:
        with pytest.raises(PayloadTooLarge, match=r"takes none so large: .*size.*: save the data"):
            desk.broker.publish([desk.message("small"), large])
        desk.publish("after")
    finally:
        desk.node().evaluate(set_most.format(134_217_728))

    assert "after" in [one.message.id for one in desk.consumer().fetch(5) if one.message]


def test_headers_that_no_frame_can_hold_are_too_large(desk: Desk):
    """What Celery has as a header lies in one frame, at most 128 KiB of it; Dramatiq has it in the body."""
    baggage = msgspec.Raw(msgspec.json.encode({"baggage": "x" * 200_000}))

    if desk.engine == "celery":
        with pytest.raises(PayloadTooLarge, match=r"takes none so large: .*frame_too_large"):
            desk.publish("one", trace=baggage)
    else:
        desk.publish("one", trace=baggage)
        assert 1 == desk.waiting(desk.name())


def test_a_connection_that_broke_while_idle_is_replaced(desk: Desk):
    """Nobody is told of it, and nothing is lost."""
    desk.publish("one")
    desk.node().close_connections()

    desk.publish("two")

    desk.connect()
    assert 2 == desk.waiting(desk.name())


def test_threads_publish_at_once(desk: Desk):
    """Each on a connection of its own meanwhile; what is kept afterwards is bounded."""
    threads = [threading.Thread(target=lambda k=k: [desk.publish(f"{k}-{n}") for n in range(20)]) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 240 == desk.waiting(desk.name())
    assert len(desk.broker.publisher._idle) <= 8


def test_a_fork_publishes_too(desk: Desk):
    """On connections of its own, and its parent's go on."""
    desk.publish("before")
    if not (pid := os.fork()):
        try:
            desk.publish("child")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    desk.publish("after")

    assert 3 == desk.waiting(desk.name())


@pytest.mark.parametrize(
    ("user", "vhost", "says"),
    [("guest:wrong@", "", "ACCESS_REFUSED"), ("guest:guest@", "nowhere", "vhost nowhere not found")],
)
def test_who_is_not_let_in_is_told_so(desk: Desk, user: str, vhost: str, says: str):
    """It is an error of the settings, and shows no password."""
    url = desk.rabbit.url().replace("guest:guest@", user) + vhost

    with pytest.raises(ConfigError, match=says) as caught:
        desk.publish("one", broker=desk.a_broker(url))

    assert "wrong" not in str(caught.value)


def test_nobody_there_is_said_soon(desk: Desk):
    """A port on which nobody listens."""

    def publish() -> None:
        with pytest.raises(BrokerUnavailable, match=r"is away: .*refused"):
            desk.publish("one", broker=desk.a_broker("amqp://127.0.0.1:1/"))

    in_time(publish, 2)


@pytest.fixture(scope="module")
def poor_login(rabbit: SomeRabbit) -> str:
    """A user who may make no queue."""
    node = rabbit if isinstance(rabbit, RabbitServer) else missing("rabbitmq-server of our own")
    node.control("add_user", "poor", "secret")
    node.control("set_permissions", "poor", "^$", ".*", ".*")
    return "poor:secret"


@pytest.fixture
def poor(desk: Desk, poor_login: str) -> RabbitBroker:
    """His, at the same place."""
    return desk.a_broker(desk.rabbit.url().replace("guest:guest", poor_login))


def test_a_queue_that_may_not_be_made_is_said_so(desk: Desk, poor: RabbitBroker):
    """It does not exist, and the user may make none; what exists he may use."""

    with pytest.raises(ConfigError, match=f"the queue '{desk.name()}' does not exist .* may not make it"):
        desk.publish("one", broker=poor)
    with pytest.raises(ConfigError, match="may not make it"):
        poor.consumer([desk.queue], "worker", None).fetch(1)  # type: ignore[arg-type]

    desk.publish("two")
    consumer = poor.consumer([desk.queue], "worker", None)  # type: ignore[arg-type]
    assert ["two"] == [one.message.id for one in consumer.fetch(5) if one.message]
    assert () != consumer.ears
    desk.publish("three", broker=poor)
    assert 1 == len(consumer.fetch(5))


def test_what_belongs_in_a_part_that_may_not_be_made_goes_to_its_queue(
    desk: Desk, poor: RabbitBroker, caplog: pytest.LogCaptureFixture
):
    """What a lock lets on, and other bands, behind what waits there: told once, and read by whoever reads the queue."""
    desk.publish("first")

    desk.publish("front", broker=poor, front=True)
    desk.publish("high", "normal", broker=poor, priority=9)
    desk.publish("again", broker=poor, front=True)

    deliveries = poor.consumer([desk.queue], "worker", None).fetch(9)  # type: ignore[arg-type]
    assert ["first", "front", "high", "normal", "again"] == [one.message.id for one in deliveries if one.message]
    told = [one.getMessage() for one in caplog.records if "goes into its queue" in one.getMessage()]
    assert [desk.name("-front"), desk.name("-high")] == [text.split("'")[1] for text in told]
    if desk.engine == "dramatiq":  # its own worker ends when a message says another queue than it lies in
        assert {desk.name()} == {one.envelope.queue_name for one in deliveries}


def test_a_part_that_others_make_is_read_soon(desk: Desk, poor: RabbitBroker, monkeypatch: pytest.MonkeyPatch):
    """A worker that could not make it looks for it again, with nothing in hand; what it had is acknowledged."""
    monkeypatch.setattr(consumer, "LOOK_S", 0.2)
    desk.publish("one", "two")
    worker = poor.consumer([desk.queue], "worker", None)  # type: ignore[arg-type]
    (one,) = worker.fetch(1)
    worker.acknowledge(one)

    desk.publish("front", front=True)

    came: set[str] = set()
    until(lambda: came.update(ids(worker.fetch(5))) or len(came) >= 2, 20, "both")
    assert {"front", "two"} == came


def test_it_is_reached_by_tls(desk: Desk):
    """With its certificate named; a certificate that nobody vouches for is refused."""
    node = desk.node()
    desk.publish("one", broker=desk.a_broker(node.tls_url()))

    assert 1 == desk.waiting(desk.name())
    with pytest.raises(BrokerUnavailable, match="certificate verify failed"):
        desk.publish("two", broker=desk.a_broker(node.tls_url(ssl_ca_certs="/etc/ssl/certs/ca-certificates.crt")))


def test_a_missing_client_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """With the extra that brings it."""
    monkeypatch.setitem(__import__("sys").modules, "taskbridge.rabbitmq.publisher", None)

    with pytest.raises(BackendNotInstalled, match=r"pip install 'taskbridge\[rabbitmq\]'"):
        desk.a_broker()
