"""Quorum queues: what is on its way at a cancel goes back, and no tag is used twice. None is lost, or held by two."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings

from taskbridge.backend import Delivery, Place, load
from taskbridge.rabbitmq.consumer import RabbitConsumer
from tests.servers import until

from .conftest import Desk
from .test_consumer import heard, ids, play, steps
from .test_stream import MANY, session_of, work

pytestmark = pytest.mark.service("rabbitmq")

#: Of quorum queues, in ``docs/brokers.md``.
POLICY = '{"delivery-limit": 1000000000}'


def begin(deliveries: Sequence[Delivery]) -> None:
    """They run, and go back for nothing."""
    for one in deliveries:
        one.taken = True


def end(consumer: RabbitConsumer, deliveries: Sequence[Delivery]) -> None:
    for one in deliveries:
        consumer.acknowledge(one)


def test_a_stream_that_runs_dry_goes_on_in_order(quorum: Desk, monkeypatch: pytest.MonkeyPatch):
    """However early it is taken for dry: what is there is on its way, and a cancel would turn it back.

    A broker that is busy with others has time to push it, as in the laws of streams.
    """
    monkeypatch.setattr("taskbridge.rabbitmq.session.DRY_S", 0.0)
    monkeypatch.setattr("taskbridge.rabbitmq.session.SLOW_S", 5.0)
    consumer = quorum.consumer()
    for round in range(5):
        sent = [f"{round}-{n}" for n in range(300)]
        quorum.publish(*sent)

        assert sent == work(consumer, least=300)

    assert [] == consumer.fetch(MANY)


def test_one_who_holds_messages_may_have_others_pushed_again(quorum: Desk):
    """They keep their tags; the connection is one and the same."""
    quorum.publish(*(f"m{n}" for n in range(300)))
    consumer = quorum.consumer()
    done = work(consumer, least=60)
    session = session_of(consumer)
    hand = consumer.fetch(MANY)
    begin(hand)
    few = consumer.fetch(1)
    begin(few)
    assert not session.streaming

    while not session.streaming:
        hand += few
        few = consumer.fetch(MANY)
        begin(few)
    until(lambda: session.connection.hear() or session._pushed, 20, "more to be pushed")
    end(consumer, [*hand, *few])
    done += ids([*hand, *few]) + work(consumer, least=300)

    assert session is session_of(consumer)
    assert sorted(f"m{n}" for n in range(300)) == sorted(done)


def test_one_who_falls_asleep_with_a_message_in_hand_is_woken(quorum: Desk):
    """By the next, pushed for the second time while the first that was pushed is held."""
    consumer = quorum.consumer()
    hand: list[Delivery] = []
    for text in ("one", "two", "three"):
        assert heard(consumer.ears, 0.05) is False
        session_of(consumer).unsubscribe()
        assert consumer.ears

        quorum.publish(text)

        assert heard(consumer.ears)
        hand += until(lambda: consumer.fetch(4), 20, "the message")
        begin(hand)
    end(consumer, hand)
    consumer.give_back([])
    assert ["one", "two", "three"] == ids(hand)
    assert [] == quorum.consumer().fetch(4)


def test_none_is_lost_or_comes_twice_however_the_pace_changes(quorum: Desk):
    """Streams end with messages on their way, which come again; who holds some holds them alone."""
    chance = random.Random(7)
    sent = [f"m{n}" for n in range(600)]
    quorum.publish(*sent)
    consumer = quorum.consumer()
    done: list[str] = []

    while len(done) < 600:
        deliveries = consumer.fetch(chance.choice([1, 4, MANY, MANY, MANY]))
        begin(deliveries)
        end(consumer, deliveries)
        done += ids(deliveries)

    assert sorted(sent) == sorted(done)
    assert [] == consumer.fetch(MANY)


def test_what_is_given_back_stands_in_front_under_the_policy_that_the_docs_advise(quorum: Desk):
    """However often; without it RabbitMQ 3.10 puts it at the end, and 4 drops it after twenty times."""
    node, vhost = quorum.node(), f"unit-{quorum.queue}"
    node.new_vhost(vhost)
    node.control("set_policy", "-p", vhost, "--apply-to", "queues", "back-in-front", ".", POLICY)
    broker = quorum.a_broker(vhost=vhost)
    quorum.publish(*(f"m{n}" for n in range(5)), broker=broker)
    consumer = quorum.consumer(vhost=vhost)

    for _ in range(25):
        consumer.give_back(consumer.fetch(3))
        until(lambda: broker.depth(quorum.queue) == 5, 20, "them to be back")

    assert [f"m{n}" for n in range(5)] == ids(consumer.fetch(5))
    node.control("delete_vhost", vhost)


def test_no_order_is_promised(quorum: Desk):
    """Whether there is such a policy no client is told."""
    place = Place(name=quorum.engine, broker_url=quorum.rabbit.url(queue_type="quorum"), namespace="unit")
    classic = Place(name=quorum.engine, broker_url=quorum.rabbit.url(), namespace="unit")

    assert (False, True) == tuple(load(quorum.engine, where).capabilities.ordered for where in (place, classic))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, seed=...)
def test_whatever_is_done_each_message_is_acknowledged_or_comes_again(quorum: Desk, steps: list[str], seed: int):
    """As of any queue."""
    own = Desk(quorum.engine, quorum.rabbit, **quorum.options)
    try:
        play(own, steps, random.Random(seed))
    finally:
        own.close()
