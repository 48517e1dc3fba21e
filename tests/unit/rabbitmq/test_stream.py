"""Short tasks of which much waits are pushed: in order and to the last, and none lies there that others could run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from taskbridge.rabbitmq.connection import Connection
from taskbridge.rabbitmq.consumer import RabbitConsumer
from taskbridge.rabbitmq.session import Session
from tests.servers import until

from .conftest import Desk
from .test_consumer import heard, ids

pytestmark = pytest.mark.service("rabbitmq")

#: How many a worker of short tasks wants at once, and most that it ever holds.
MANY, HELD = 32, 40


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Count how often the broker is asked how much waits."""
    asked: list[object] = []
    depths = Connection.depths

    def counting(connection: Connection, names: list[str]) -> list[int]:
        asked.append(names)
        return depths(connection, names)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "depths", counting)
        yield asked


def work(consumer: RabbitConsumer, limit: int = MANY, least: int = 1) -> list[str]:
    """Fetch and acknowledge until so many have come, or until there is nothing; returns them in order."""
    done: list[str] = []
    while len(done) < least and (deliveries := consumer.fetch(limit)):
        for delivery in deliveries:
            delivery.taken = True
            consumer.acknowledge(delivery)
        done += ids(deliveries)
    return done


def session_of(consumer: RabbitConsumer) -> Session:
    assert consumer._session
    return consumer._session


def test_all_come_once_in_their_order_and_few_trips_are_made(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """Of a thousand messages; to ask for them would be some thirty times two trips.

    A broker that is busy with others has time to go on: what is dry for long is asked about, which is a trip.
    """
    monkeypatch.setattr("taskbridge.rabbitmq.session.DRY_S", 0.5)
    sent = [f"m{n}" for n in range(1_000)]
    desk.publish(*sent)
    consumer = desk.consumer()

    with counted(monkeypatch) as asked:
        done = work(consumer, least=len(sent))

    assert sent == done
    assert len(asked) < 25, len(asked)
    assert ([], 0) == (consumer.fetch(MANY), desk.waiting(desk.name()))
    consumer.give_back([])
    assert [] == desk.consumer().fetch(MANY), "all are acknowledged"


def test_no_more_is_held_than_is_taken_ahead(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """But once, when it begins, for what it took before anything was pushed; a busy broker has time, as above."""
    monkeypatch.setattr("taskbridge.rabbitmq.session.DRY_S", 20.0)
    desk.publish(*(f"m{n}" for n in range(500)))
    consumer = desk.consumer()

    taken = work(consumer, least=100)

    assert session_of(consumer).streaming
    until(lambda: session_of(consumer).connection.hear() or len(session_of(consumer)._held) >= 16, 20, "more to come")
    assert len(session_of(consumer)._held) <= HELD
    assert 500 - len(taken) - HELD <= desk.waiting(desk.name())


def test_a_better_band_goes_before_what_streams(desk: Desk):
    """It waits for no more than what was taken ahead; a band behind waits until all others are empty."""
    desk.publish(*(f"low{n}" for n in range(100)), priority=0)
    desk.publish(*(f"m{n}" for n in range(300)))
    consumer = desk.consumer()
    before = work(consumer, least=60)
    desk.publish(*(f"high{n}" for n in range(200)), priority=9)

    after = work(consumer, least=600)

    assert sorted([*before, *after]) == sorted({*before, *after}), "each once"
    high = [at for at, id in enumerate(after) if id.startswith("high")]
    low = [at for at, id in enumerate(after) if id.startswith("low")]
    assert [f"high{n}" for n in range(200)] == [after[at] for at in high]
    assert high[0] <= HELD
    assert high[-1] - high[0] - 199 <= HELD, "few of the others in between"
    assert low == [*range(len(after) - 100, len(after))]


def test_a_band_behind_lies_nowhere_while_a_better_one_is_served(desk: Desk):
    """What was pushed of it goes back where it was, and another worker may have it."""
    desk.publish(*(f"low{n}" for n in range(200)), priority=0)
    consumer = desk.consumer()
    done = work(consumer, least=60)
    desk.publish(*(f"m{n}" for n in range(300)))
    until(lambda: session_of(consumer).connection.hear() or desk.waiting(desk.name()) < 300, 20, "some to be pushed")

    done += work(consumer, least=150)

    low = sum(id.startswith("low") for id in done)
    assert 200 - low == desk.waiting(desk.name("-low"))


def test_queues_of_a_band_share_a_stream(desk: Desk):
    """None waits for the other, however long it is."""
    desk.publish(*(f"a{n}" for n in range(1_000)))
    desk.publish(*(f"b{n}" for n in range(200)), queue=desk.other)
    consumer = desk.consumer(desk.queue, desk.other)

    done = work(consumer, least=360)

    of_b = sum(id.startswith("b") for id in done)
    assert 120 <= of_b, f"{of_b} of {len(done)}"
    assert sorted(f"a{n}" for n in range(1_000)) == sorted(
        id for id in done + work(consumer, least=900) if id.startswith("a")
    )


def test_when_tasks_become_long_what_was_pushed_goes_back(desk: Desk):
    """It takes one at a time then, and the others are there for other workers."""
    desk.publish(*(f"m{n}" for n in range(300)))
    consumer = desk.consumer()
    done = work(consumer, least=100)

    (one,) = consumer.fetch(1)

    assert f"m{len(done)}" == ids([one])[0]
    assert not session_of(consumer).streaming
    until(lambda: consumer.tend() or desk.waiting(desk.name()) == 300 - len(done) - 1, 20, "all others to be back")
    assert [f"m{n}" for n in range(len(done) + 1, 300)] == work(desk.consumer(), least=300)


@pytest.mark.usefixtures("long_tasks")
def test_nothing_stays_pushed_to_one_who_runs_long(desk: Desk):
    """The thread ends the stream and gives back all of it; what is begun stays, and its end counts."""
    desk.publish(*(f"m{n}" for n in range(300)))
    consumer = desk.consumer()
    done = work(consumer, least=100)
    deliveries = consumer.fetch(MANY)
    deliveries[0].taken = True

    until(lambda: desk.waiting(desk.name()) == 300 - len(done) - 1, 20, "all others to be back")

    assert [False, *[True] * (len(deliveries) - 1)] == [one.withdrawn for one in deliveries]
    consumer.acknowledge(deliveries[0])
    assert [f"m{n}" for n in range(len(done) + 1, 300)] == work(consumer, least=300)


def test_one_who_has_streamed_falls_asleep_and_is_woken(desk: Desk):
    """The end of a stream is as quiet as any other time."""
    desk.publish(*(f"m{n}" for n in range(300)))
    consumer = desk.consumer()
    work(consumer, least=300)
    assert [] == consumer.fetch(MANY)
    assert not heard(consumer.ears, 0.05)

    desk.publish("late")

    assert heard(consumer.ears)
    assert ["late"] == until(lambda: work(consumer), 20, "it")


def test_what_goes_back_for_a_better_band_goes_with_what_was_pushed_after_it(desk: Desk):
    """Younger messages were on their way; each band keeps its order."""
    desk.publish(*(f"m{n}" for n in range(500)))
    consumer = desk.consumer()
    done = work(consumer, least=60)
    session = session_of(consumer)
    session.acknowledge()
    until(lambda: session.connection.hear() or len(session._pushed) >= MANY, 20, "as many as are taken ahead")
    hand = consumer.fetch(MANY // 2)
    desk.publish(*(f"high{n}" for n in range(20)), priority=9)
    until(lambda: session.connection.hear() or len(session._pushed) > MANY, 20, "some of both to be pushed")

    for delivery in hand:  # room for as many more
        consumer.acknowledge(delivery)
    done += ids(hand) + work(consumer, least=520 - len(done) - len(hand))

    assert [f"m{n}" for n in range(500)] == [id for id in done if not id.startswith("high")]


def test_one_who_falls_asleep_in_a_stream_holds_nothing(desk: Desk):
    """What was pushed goes back, and wakes it, or another."""
    desk.publish(*(f"m{n}" for n in range(300)))
    consumer = desk.consumer()
    done = work(consumer, least=60)
    until(lambda: session_of(consumer).connection.hear() or session_of(consumer)._pushed, 20, "some to be pushed")

    ears = consumer.ears

    assert not session_of(consumer)._pushed
    assert heard(ears)
    consumer.give_back([])
    assert [f"m{n}" for n in range(len(done), 300)] == work(desk.consumer(), least=300 - len(done))


def test_what_is_pushed_after_all_is_for_others(desk: Desk):
    """To a consumer that the session does not know, or knows no more."""
    consumer = desk.consumer()
    assert [] == consumer.fetch(1)
    session = session_of(consumer)
    session.connection.consume({"late": desk.name()}, 1)

    desk.publish("one")
    until(lambda: session.connection.hear() or desk.waiting(desk.name()) == 0, 20, "it to be pushed")
    session.connection.cancel(["late"])

    assert not session._held
    assert ["one"] == until(lambda: ids(consumer.fetch(1)), 20, "it to be back")
