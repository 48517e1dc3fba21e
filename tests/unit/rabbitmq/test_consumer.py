"""What a worker takes from RabbitMQ: in the order of bands, as much as it asks for; what it begins not goes back."""

from __future__ import annotations

import random
import select
import struct
import time
from collections.abc import Sequence
from typing import Any

import amqp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from taskbridge.backend import Delivery
from taskbridge.errors import BrokerUnavailable
from taskbridge.rabbitmq.consumer import RabbitConsumer
from taskbridge.rabbitmq.session import Session
from tests.servers import until

from .conftest import Desk

pytestmark = pytest.mark.service("rabbitmq")


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [one.message.id if one.message else "" for one in deliveries]


def gathered(consumer: RabbitConsumer, count: int) -> list[str]:
    """So many, of as many fetches as it takes: what was given back just now may not be counted yet."""
    got: list[str] = []
    until(lambda: got.extend(ids(consumer.fetch(9))) or len(got) >= count, 20, f"{count} messages")
    return got


def heard(ears: Sequence[int], seconds: float = 20.0) -> bool:
    """Whether one of these becomes readable in time."""
    return bool(ears) and bool(select.select(ears, [], [], seconds)[0])


def test_bands_are_read_in_order(desk: Desk):
    """What has waited first, then high, normal, low; first come first served within each."""
    desk.publish("low-0", priority=0)
    desk.publish("mid-0")
    desk.publish("high-0", "high-1", priority=9)
    desk.publish("waited-0", "waited-1", front=True, priority=1)
    desk.publish("mid-1")
    desk.publish("low-1", priority=3)

    taken = ids(desk.consumer().fetch(32))

    assert ["waited-0", "waited-1", "high-0", "high-1", "mid-0", "mid-1", "low-0", "low-1"] == taken


def test_no_more_is_taken_than_is_asked_for(desk: Desk):
    """The rest is there for others."""
    desk.publish(*(f"m{n}" for n in range(10)))
    desk.publish("high", priority=9)
    consumer = desk.consumer()

    assert ["high"] == ids(consumer.fetch(1))
    assert ["m0", "m1", "m2"] == ids(consumer.fetch(3))
    assert 7 == desk.waiting(desk.name())


def test_queues_are_served_in_turn(desk: Desk):
    """One of each, whatever their length; who begins changes."""
    desk.publish(*(f"a{n}" for n in range(20)))
    desk.publish("b0", "b1", queue=desk.other)
    consumer = desk.consumer(desk.queue, desk.other)

    first, second = ids(consumer.fetch(2)), ids(consumer.fetch(2))

    assert {"a0", "b0"} == set(first)
    assert {"a1", "b1"} == set(second)
    assert first[0][0] != second[0][0]


def test_what_is_acknowledged_is_gone_and_what_is_not_comes_again(desk: Desk):
    """In whatever order: at the next fetch, or soon by itself."""
    desk.publish(*(f"m{n}" for n in range(6)))
    consumer = desk.consumer()
    deliveries = consumer.fetch(6)
    for n in (1, 0, 3, 5):
        consumer.acknowledge(deliveries[n])
    consumer.give_back([])

    assert ["m2", "m4"] == gathered(desk.consumer(), 2)
    assert [False, False, True, False, True, False] == [one.withdrawn for one in deliveries]


def test_an_idle_worker_is_woken(desk: Desk):
    """By what is published, into any band; a quiet queue says nothing."""
    consumer = desk.consumer()
    for priority in (5, 9, 1):
        assert [] == consumer.fetch(4)
        assert not heard(consumer.ears, 0.05)

        desk.publish(f"p{priority}", priority=priority)

        assert heard(consumer.ears)
        (delivery,) = until(lambda: consumer.fetch(4), 20, "the message")
        assert f"p{priority}" == ids([delivery])[0]
        consumer.acknowledge(delivery)


def test_what_was_pushed_is_taken_in_the_order_of_bands(desk: Desk):
    """Not in that in which it came."""
    consumer = desk.consumer()
    assert consumer.ears
    for priority in (1, 5, 9):
        desk.publish(f"p{priority}", priority=priority)
        until(lambda: not desk.broker.depth(desk.queue), 20, "it to be pushed")

    assert ["p9", "p5", "p1"] == ids(consumer.fetch(4))


def test_one_who_is_woken_by_many_takes_many(desk: Desk):
    """The second tells that more come: it asks then, and is not woken for each."""
    consumer = desk.consumer()
    assert [] == consumer.fetch(32)
    assert consumer.ears
    desk.publish(*(f"m{n}" for n in range(200)))
    done: list[str] = []

    sleeps = 0
    while len(done) < 200:
        deliveries = consumer.fetch(32)
        for delivery in deliveries:
            consumer.acknowledge(delivery)
        done += ids(deliveries)
        if not deliveries:
            sleeps += 1
            assert heard(consumer.ears)

    assert [f"m{n}" for n in range(200)] == done
    assert sleeps < 20, sleeps


def test_each_message_wakes_one_worker(desk: Desk):
    """Of two that are idle one gets it, and the other sleeps on."""
    consumers = [desk.consumer(), desk.consumer()]
    ears = [consumer.ears for consumer in consumers]

    desk.publish("one")

    assert heard([*ears[0], *ears[1]])
    assert ["one"] == [id for consumer in consumers for id in ids(consumer.fetch(1))]


def test_a_worker_with_long_tasks_holds_nothing_beside_the_one_it_runs(desk: Desk):
    """Asked for one, it takes one, though one of each queue was pushed; the others are there for another worker."""
    consumer = desk.consumer(desk.queue, desk.other)
    assert consumer.ears
    desk.publish("low", priority=0)
    desk.publish("high", priority=9)
    desk.publish("other", queue=desk.other)
    until(lambda: not desk.waiting(desk.name("-high")) and not desk.broker.depth(desk.other), 20, "all to be pushed")

    (taken,) = until(lambda: consumer.fetch(1), 20, "one of them")

    taken.taken = True
    everything = {"low", "high", "other"}
    another = desk.consumer(desk.queue, desk.other)
    got: list[str] = []
    until(lambda: got.extend(ids(another.fetch(5))) or len(got) == 2, 20, "the others")
    assert everything == {*ids([taken]), *got}


@pytest.mark.usefixtures("long_tasks")
def test_what_is_not_begun_while_a_task_runs_long_is_given_back(desk: Desk):
    """By a thread of the consumer's; what is begun stays, and its acknowledgement counts."""
    desk.publish(*(f"m{n}" for n in range(5)))
    consumer = desk.consumer()
    deliveries = consumer.fetch(5)
    deliveries[0].taken = True

    until(lambda: desk.waiting(desk.name()) == 4, 20, "four to come back")

    assert [False, True, True, True, True] == [one.withdrawn for one in deliveries]
    another = desk.consumer()
    assert ["m1", "m2", "m3", "m4"] == gathered(another, 4), "where they were"
    consumer.acknowledge(deliveries[0])
    assert ([], []) == (consumer.fetch(5), another.fetch(5))
    assert "m0" not in ids(another.fetch(5))


def test_what_a_slow_broker_has_handed_over_is_not_given_back(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """That the answer took long says nothing of tasks: the thread that looks right then finds no long one."""
    desk.publish("a", "b", "c")
    consumer, take = desk.consumer(), Session.take

    def slowly(session: Session, *words: Any, **more: Any) -> list[Delivery]:
        time.sleep(0.7)
        return take(session, *words, **more)

    monkeypatch.setattr("taskbridge.rabbitmq.consumer.LONG_RUN_S", 0.6)
    monkeypatch.setattr(Session, "take", slowly)

    got = consumer.fetch(3)
    consumer.tend()

    assert ["a", "b", "c"] == ids(got)
    assert not any(one.withdrawn for one in got)


def test_many_answers_may_take_longer_than_one(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """Of a broker that is slow and answers, each in time: else what it has done already would be asked for anew."""
    desk.publish("a", "b")
    consumer = desk.consumer(timeout=2)
    (one,) = consumer.fetch(1)
    read = amqp.Connection.blocking_read

    def slowly(connection: amqp.Connection, *words: Any) -> Any:
        time.sleep(0.7)
        return read(connection, *words)

    monkeypatch.setattr(amqp.Connection, "blocking_read", slowly)

    assert ["a", "b"] == ids([one, *consumer.fetch(1)])


def test_what_is_given_back_stands_where_it_stood(desk: Desk):
    """At the front of its queue."""
    desk.publish(*(f"m{n}" for n in range(5)))
    consumer = desk.consumer()
    deliveries = consumer.fetch(3)
    deliveries[0].taken = True

    consumer.give_back(deliveries[1:])

    assert ["m1", "m2", "m3", "m4"] == gathered(consumer, 4)


@pytest.mark.usefixtures("long_tasks")
def test_a_lost_connection_takes_its_tags_along(desk: Desk):
    """What came by it is gone from the hand and comes again under another tag; late acknowledgements mean nothing."""
    desk.publish("one", "two", "three")
    consumer = desk.consumer()
    deliveries = consumer.fetch(3)
    consumer.acknowledge(deliveries[0])

    desk.node().close_connections()

    until(lambda: all(one.withdrawn for one in deliveries[1:]), 20, "the thread to notice")
    for delivery in deliveries:
        consumer.acknowledge(delivery)
    again = until(lambda: patient(consumer.fetch, 9), 20, "them to come again")
    assert ["one", "two", "three"][-len(again) :] == ids(again)
    assert not {one.tag for one in deliveries} & {one.tag for one in again}
    assert ([], []) == (consumer.fetch(9), consumer.fetch(9))


def patient(fetch: object, limit: int) -> list[Delivery]:
    try:
        return fetch(limit)  # type: ignore[operator,no-any-return]
    except BrokerUnavailable:
        time.sleep(0.05)
        return []


def test_a_broker_that_is_away_is_asked_at_most_so_often(desk: Desk):
    """Whoever asks in between is told what was found; the pauses grow, and differ."""
    consumer = desk.a_broker("amqp://127.0.0.1:1/").consumer([desk.queue], "worker", None)  # type: ignore[arg-type]
    tries = []
    for _ in range(3):
        with pytest.raises(BrokerUnavailable, match="is away"):
            consumer.fetch(1)
        left_s = consumer._not_before_s - time.monotonic()  # type: ignore[attr-defined]
        tries.append(consumer._not_before_s - consumer._asked_s)  # type: ignore[attr-defined]
        assert left_s < 0.5 * 2 ** len(tries)
        assert () == consumer.ears

    assert 0 < tries[0]
    assert len(set(tries)) > 1, "each ask in between leaves the instant as it is"


def test_a_queue_that_is_deleted_is_made_again(desk: Desk):
    """While the worker is idle, and while it is not."""
    consumer = desk.consumer()
    assert consumer.ears
    desk.channel.queue_delete(desk.name())
    until(lambda: patient(consumer.fetch, 1) == [] and consumer.ears, 20, "it to go on")

    desk.publish("one")

    until(lambda: ids(patient(consumer.fetch, 1)) == ["one"], 20, "the message")
    desk.channel.queue_delete(desk.name())
    desk.publish("two")
    until(lambda: ids(patient(consumer.fetch, 1)) == ["two"], 20, "the next")


@pytest.mark.parametrize("asks", ["ears", "fetch"])
def test_a_queue_that_is_deleted_before_it_is_asked_for_is_no_refusal(desk: Desk, asks: str):
    """The broker is away for the moment, as it is where the queue's own node is: it is made again, and goes on."""
    consumer = desk.consumer()
    assert [] == consumer.fetch(1)
    desk.channel.queue_delete(desk.name())

    if asks == "ears":
        assert consumer.ears
    with pytest.raises(BrokerUnavailable, match="NOT_FOUND"):
        until(lambda: consumer.fetch(1), 20, "the broker to say that it is gone")
    desk.publish("one")

    until(lambda: ids(patient(consumer.fetch, 1)) == ["one"], 20, "the message")


def test_a_message_that_cannot_be_read_costs_no_other(desk: Desk):
    """Bytes, JSON, headers that py-amqp itself trips over: each is delivered with its problem and all it came with."""
    strangers = [b"\xff\xfe", b"", b"[]", b'{"queue_name": 1}']
    desk.publish("before")
    desk.channel.confirm_select()
    lone = amqp.Message(b"lone", application_headers={"task": "\ud800", "id": "1", "lang": "py"})
    for message in [*map(amqp.Message, strangers), a_message_from_the_year_58000(), lone]:
        desk.channel.basic_publish(message, routing_key=desk.name())
        desk.channel.wait(amqp.spec.Basic.Ack)
    desk.publish("after")

    deliveries = desk.consumer().fetch(32)

    assert ["before", *[""] * 6, "after"] == ids(deliveries)
    assert strangers == [one.raw for one in deliveries[1:5]]
    assert all(one.problem.encode() for one in deliveries[1:7])
    assert b"far" in deliveries[5].raw
    assert b"lone" in deliveries[6].raw
    if desk.engine == "celery":
        assert all("its properties cannot be read" in one.problem for one in deliveries[5:7])


def a_message_from_the_year_58000() -> amqp.Message:
    """As a client writes one that takes milliseconds for seconds: a table of one timestamp."""
    table = b"\x04whenT" + (1_796_000_000_000).to_bytes(8, "big")
    message = amqp.Message(b"far")
    message._serialize_properties = lambda: struct.pack(">HI", 0x2000, len(table)) + table
    return message


def test_a_message_of_the_other_engine_is_recognised(desk: Desk, rabbit: object):
    """It says whose it is, and keeps all it came with."""
    other = Desk({"celery": "dramatiq", "dramatiq": "celery"}[desk.engine], desk.rabbit)
    try:
        foreign = other.broker._parcel(other.message("one"), front=False)
        desk.publish("ours")
        desk.broker.publisher.publish([foreign._replace(name=desk.name())])

        _, delivery = desk.consumer().fetch(5)

        whose = {"celery": "a message of Dramatiq's in a queue of Celery's", "dramatiq": "a message of Celery's"}
        assert delivery.problem.startswith(whose[desk.engine])
        assert b"one" in delivery.raw
        assert foreign.body in delivery.raw or b"taskbridge" in delivery.raw
    finally:
        other.close()


def test_dead_engines_queues_of_their_own_are_read_last(desk: Desk):
    """Dramatiq's delayed messages, of which what is not due yet goes to the store."""
    if not desk.broker.names.last:
        return
    desk.publish("low", priority=0)
    (parcel,) = [desk.broker._parcel(desk.message("delayed"), front=False)]
    desk.broker.publisher.publish([parcel._replace(name=desk.name(".DQ"))])

    assert ["low", "delayed"] == sorted(ids(desk.consumer().fetch(5)), reverse=True)
    assert desk.queue == desk.broker.names.queue_of(desk.name(".DQ"))


words = ["publish", "high", "many", "fetch", "stream", "one", "ack", "acks", "back", "listen", "cut"]
steps = some.lists(some.sampled_from(words), max_size=25)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, seed=some.integers(0, 99))
def test_whatever_is_done_each_message_is_acknowledged_or_comes_again(desk: Desk, steps: list[str], seed: int):
    """Published, fetched, acknowledged, given back, pushed, cut, in any order: none is lost or comes after its end."""
    own = Desk(desk.engine, desk.rabbit, **desk.options)
    try:
        play(own, steps, random.Random(seed))
    finally:
        own.close()


def play(desk: Desk, steps: list[str], chance: random.Random) -> None:
    consumer = desk.consumer()
    sent: list[str] = []
    hand: list[Delivery] = []
    ended: set[str] = set()
    for step in steps:
        if step in ("publish", "high", "many"):
            new = [f"{n}-{step}" for n in range(len(sent), len(sent) + (90 if step == "many" else 2))]
            desk.publish(*new, priority=9 if step == "high" else 5)
            sent += new
        elif step in ("fetch", "one", "stream"):
            hand += patient(consumer.fetch, {"fetch": 4, "one": 1, "stream": 32}[step])
        elif step in ("ack", "acks"):
            for _ in range(min(len(hand), 1 if step == "ack" else 20)):
                delivery = hand.pop(chance.randrange(len(hand)))
                ended |= set() if delivery.withdrawn else set(ids([delivery]))
                consumer.acknowledge(delivery)
        elif step == "back":
            consumer.give_back(hand)
            hand.clear()
        elif step == "listen":
            assert consumer.ears
        elif step == "cut" and consumer._session:
            consumer._session.acknowledge()
            consumer._session.connection.depths([desk.name()])  # the broker knows
            consumer._session.lose()
            consumer._session = None
    consumer.give_back(hand)

    left: list[str] = []
    last = desk.consumer()
    until(lambda: left.extend(ids(last.fetch(32))) or len(left) >= len(sent) - len(ended), 20, "the rest")
    assert sorted(set(sent) - ended) == sorted(left)
