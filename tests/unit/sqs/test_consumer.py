"""A consumer: what it takes in which order, what it holds, and what becomes of it whatever the loop does meanwhile."""

from __future__ import annotations

import gc
import select
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from taskbridge.backend import Backend, Consumer, Delivery
from taskbridge.errors import BrokerUnavailable
from taskbridge.sqs import receiver
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message
from tests.meddler import Answer, Meddler, error
from tests.servers import until
from tests.sqs import SqsServer, bodies

from .conftest import Stage

STORE = MemoryStore(FakeClock())


def consumer(backend: Backend, *queues: str) -> Consumer:
    return backend.consumer(queues or ["mail"], "me", STORE)


def send(backend: Backend, *ids: str, **fields: Any) -> None:
    for id in ids:
        backend.publish([a_message(**{"queue": "mail", "id": id, **fields})])


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [one.message.id for one in deliveries if one.message]


def woken(here: Consumer, seconds: float) -> bool:
    """Whether the consumer's ear wakes a loop that waits for it within so long."""
    return bool(select.select(here.ears, [], [], seconds)[0])


def fetched(here: Consumer, limit: int = 10) -> list[Delivery]:
    """What a loop gets that waits by the ear when there is nothing."""
    return until(lambda: here.fetch(limit) or (woken(here, 0.5) and here.fetch(limit)), 10, "a delivery")


def test_bands_are_taken_in_order(stage: Stage, engine: str):
    """What has waited already first, then high, normal and low; each band to its end."""
    backend = stage.backend(engine)
    for priority, id in ((0, "low"), (5, "mid"), (9, "high")):
        send(backend, f"{id}-1", f"{id}-2", priority=priority)
    backend.publish([a_message(queue="mail", id="front")], front=True)
    here = consumer(backend)

    taken = [one for _ in range(7) for one in ids(here.fetch(1))]

    assert ["front", "high-1", "high-2", "mid-1", "mid-2", "low-1", "low-2"] == taken


def test_queues_are_served_in_turn(stage: Stage):
    """A full one does not hold up another."""
    backend = stage.backend()
    for queue in ("full", "mail"):
        send(backend, *(f"{queue}-{n}" for n in range(3)), queue=queue)
    here = consumer(backend, "full", "mail")

    taken = [one.partition("-")[0] for _ in range(6) for one in ids(here.fetch(1))]

    assert {"full", "mail"} == set(taken[:2])
    assert ["full", "full", "full", "mail", "mail", "mail"] == sorted(taken)


def test_no_more_is_taken_than_asked_for(stage: Stage):
    """Ten at most, of one queue: what lies in the next ones may be another's."""
    backend = stage.backend()
    backend.publish([a_message(queue="mail") for _ in range(30)])
    backend.publish([a_message(queue="mail", priority=9)])
    here = consumer(backend)

    assert [1, 3, 1, 10] == [len(here.fetch(limit)) for limit in (5, 3, 1, 32)]


def test_an_idle_loop_is_woken(stage: Stage):
    """By what comes into a queue that was found empty, whichever; fetching asks no more then."""
    backend = stage.backend()
    here = consumer(backend)
    assert [] == here.fetch(1)

    send(backend, "a")

    assert woken(here, 20)
    assert ["a"] == ids(here.fetch(1))
    assert not woken(here, 0)


@pytest.mark.usefixtures("brief")
def test_an_idle_consumer_asks_once_a_poll(stage: Stage):
    """However often the loop looks; a part that is not there is looked for from time to time, and not polled."""
    here = consumer(stage.backend())
    here.fetch(1)
    before = stage.meddler.asked.copy()

    deadline_s = time.monotonic() + 4.2
    while time.monotonic() < deadline_s:
        here.fetch(1)
        time.sleep(0.1)

    asked = stage.meddler.asked - before
    assert 2 <= asked["ReceiveMessage"] <= 3  # in 4.2 s, of 2 s each
    assert {"ReceiveMessage", "GetQueueUrl"} == set(asked)


@pytest.mark.usefixtures("brief")
def test_a_band_is_found_when_it_is_made(stage: Stage):
    """By whoever, after the consumer began."""
    here, elsewhere = consumer(stage.backend()), stage.backend()
    here.fetch(1)

    send(elsewhere, "late", priority=9)

    assert ["late"] == ids(fetched(here))


def test_a_band_that_this_process_makes_is_found_at_once(stage: Stage):
    """It need not be looked for: that may be a minute from now."""
    backend = stage.backend()
    here = consumer(backend)
    here.fetch(1)

    send(backend, "late", priority=9)

    assert ["late"] == ids(here.fetch(1))


def test_what_is_not_there_is_looked_for_ever_less_often(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """Soon after the start, when its first message is likely, and then rarely, for each look is a request."""
    monkeypatch.setattr(receiver, "LOOK_S", (0.1, 10.0))
    here = consumer(stage.backend())

    deadline_s = time.monotonic() + 2
    while time.monotonic() < deadline_s:
        here.fetch(1)
        time.sleep(0.01)

    parts = 3
    assert parts * 4 <= stage.meddler.asked["GetQueueUrl"] - 1 <= parts * 5  # after 0, 0.1, 0.3, 0.7 and 1.5 s


def test_what_is_acknowledged_is_deleted_in_batches(stage: Stage, sqs: SqsServer):
    """Ten in a request, and the last few soon."""
    backend = stage.backend()
    backend.publish([a_message(queue="mail") for _ in range(13)])
    here = consumer(backend)

    for one in [*here.fetch(10), *here.fetch(10)]:
        here.acknowledge(one)

    until(lambda: "0" == in_flight(sqs, "mail"), 5, "all to be deleted")
    assert 2 == stage.meddler.asked["DeleteMessageBatch"]


def test_what_is_given_back_is_there_at_once(stage: Stage):
    """For anybody."""
    backend = stage.backend()
    send(backend, "a", "b")
    here = consumer(backend)

    here.give_back(here.fetch(10))

    assert ["a", "b"] == sorted(ids(consumer(backend).fetch(10)))


@pytest.mark.usefixtures("brief")
def test_what_is_not_begun_goes_back_when_a_task_takes_long(stage: Stage):
    """All but the first, which runs; the loop is told not to begin it."""
    backend = stage.backend()
    send(backend, "runs", "waits-1", "waits-2")
    here, other = consumer(backend), consumer(backend)
    hand = here.fetch(10)

    back = fetched(other)

    assert ["waits-1", "waits-2"] == sorted(ids(back))
    assert [False, True, True] == [one.withdrawn for one in hand]


@pytest.mark.usefixtures("brief")
def test_what_runs_stays_hidden(stage: Stage, sqs: SqsServer):
    """For several times the visibility; it is deleted when it is done."""
    backend = stage.backend()
    send(backend, "runs")
    here, other = consumer(backend), consumer(backend)
    (running,) = here.fetch(10)

    deadline_s = time.monotonic() + 3.5
    while time.monotonic() < deadline_s:
        assert [] == other.fetch(1)
        time.sleep(0.05)

    here.acknowledge(running)
    until(lambda: "0" == in_flight(sqs, "mail"), 5, "it to be deleted")


@pytest.mark.usefixtures("brief")
def test_what_a_dead_process_held_is_seen_again(stage: Stage):
    """When its time is over, without anybody's help."""
    backend = stage.backend()
    send(backend, "a")
    gone = consumer(backend)
    gone.fetch(10)
    gone._receipts.closed = True  # its thread hides nothing any more, and gives nothing back

    begun_s = time.monotonic()

    assert ["a"] == ids(fetched(consumer(backend)))
    assert time.monotonic() - begun_s < 4


@pytest.mark.usefixtures("brief")
def test_what_comes_while_the_loop_is_busy_goes_to_another(stage: Stage):
    """A poll that was open when a long task began takes nothing away from those who are free."""
    backend = stage.backend()
    busy = consumer(backend, "mail", "other")
    assert [] == busy.fetch(1)
    send(backend, "long", queue="other")
    assert ["long"] == ids(fetched(busy, 1))
    time.sleep(0.4)  # the task is long by now; the poll of the first queue is open

    send(backend, "a")

    free = consumer(backend)
    assert ["a"] == ids(fetched(free))


@pytest.mark.usefixtures("brief")
def test_a_busy_loop_polls_nothing(stage: Stage):
    """Polls that were open end, and are not renewed."""
    backend = stage.backend()
    here = consumer(backend, "mail", "other")
    assert [] == here.fetch(1)
    send(backend, "long", queue="other")
    assert ["long"] == ids(fetched(here, 1))
    time.sleep(2.2)  # the poll of the first queue has ended
    before = stage.meddler.asked["ReceiveMessage"]

    time.sleep(1)

    assert before == stage.meddler.asked["ReceiveMessage"]


@pytest.mark.usefixtures("brief")
def test_a_loop_that_comes_back_asks_again(stage: Stage):
    """Its polls have ended meanwhile, and nothing was missed."""
    backend = stage.backend()
    send(backend, "long")
    here = consumer(backend)
    (long,) = here.fetch(1)
    time.sleep(2.5)  # a whole poll
    send(backend, "after")

    here.acknowledge(long)

    assert ["after"] == ids(fetched(here))


def test_a_server_that_is_away_is_told_by_fetch(stage: Stage):
    """And when it is back, all goes on, with nothing lost."""
    backend = stage.backend()
    here = consumer(backend)
    here.fetch(1)
    stage.meddler.meddle = lambda action, words: error("InternalFailure", 500)
    with pytest.raises(BrokerUnavailable):
        until(lambda: consumer(backend).fetch(1), 5, "an error")

    stage.meddler.meddle = lambda action, words: None
    send(backend, "a")

    assert ["a"] == ids(fetched(here))


@pytest.mark.usefixtures("brief")
def test_what_could_not_be_deleted_is_tried_again(stage: Stage, sqs: SqsServer):
    """And at last left to be recognised."""
    backend = stage.backend()
    send(backend, "a")
    here = consumer(backend)
    (one,) = here.fetch(1)
    stage.meddler.meddle = lambda action, words: (
        error("InternalFailure", 500) if action == "DeleteMessageBatch" and stage.meddler.asked[action] < 4 else None
    )

    here.acknowledge(one)

    until(lambda: bodies(sqs.client(), "mail") == [] and "0" == in_flight(sqs, "mail"), 10, "it to be deleted")
    assert 4 == stage.meddler.asked["DeleteMessageBatch"]  # boto tries three times, then we


def test_a_queue_that_may_not_be_read_holds_up_no_other(stage: Stage, caplog: pytest.LogCaptureFixture):
    """It is told once, and tried again after a while."""
    backend = stage.backend()
    send(backend, "a")
    send(backend, "b", queue="secret")

    def deny(action: str, words: dict[str, Any]) -> Answer:
        secret = action == "ReceiveMessage" and words["QueueUrl"].endswith("secret")
        return error("AccessDenied", 403) if secret else None

    stage.meddler.meddle = deny
    here = consumer(backend, "secret", "mail")

    assert ["a"] == ids(fetched(here))
    for _ in range(5):
        here.fetch(1)
    assert 1 == len([one for one in caplog.records if "secret is not served" in one.getMessage()])


@pytest.mark.parametrize(
    ("engine", "raw", "why"),
    [
        ("celery", b"\xff\xfe", "expected a Celery message"),
        ("dramatiq", b"\xff\xfe", "expected a Dramatiq message"),
    ],
)
def test_bytes_that_are_no_message_are_a_delivery_with_a_problem(
    stage: Stage, sqs: SqsServer, engine: str, raw: bytes, why: str
):
    """With the bytes as they were sent, for the dead letters."""
    backend = stage.backend(engine)
    send(backend, "first")
    import base64

    client = sqs.client()
    name = "mail" if engine == "celery" else "mail-dramatiq"
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody=base64.b64encode(raw).decode())

    found = [one for one in consumer(backend).fetch(10) if one.message is None]

    assert [raw] == [one.raw for one in found]
    assert why in found[0].problem


def test_closing_gives_back_and_deletes(stage: Stage, sqs: SqsServer):
    """Nothing waits for its time to be over; a poll that brings something later gives it back."""
    backend = stage.backend()
    send(backend, "done", "not begun")
    here = consumer(backend)
    hand = here.fetch(10)
    here.acknowledge(hand[0])

    backend.close()

    assert ids(hand[1:]) == ids(consumer(backend).fetch(10))
    assert "1" == in_flight(sqs, "mail")


def in_flight(sqs: SqsServer, name: str) -> str:
    """How many messages of a queue are hidden."""
    client = sqs.client()
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    word = "ApproximateNumberOfMessagesNotVisible"
    return str(client.get_queue_attributes(QueueUrl=url, AttributeNames=[word])["Attributes"][word])


def test_a_poll_that_ends_after_closing_gives_back(stage: Stage, meddler: Meddler):
    """What it brings is for others."""
    backend = stage.backend()
    here = consumer(backend)
    assert [] == here.fetch(1)
    here.close()

    send(backend, "a")

    assert ["a"] == ids(fetched(consumer(backend)))


def test_a_consumer_that_nobody_holds_ends_with_its_broker(stage: Stage):
    """Else its thread would hide for ever what it had fetched."""
    backend = stage.backend()
    send(backend, "a")
    before = {*threading.enumerate()}
    assert ["a"] == ids(fetched(consumer(backend)))
    gc.collect()
    (thread,) = [one for one in threading.enumerate() if one.name == "receipts" and one not in before]

    backend.close()

    until(lambda: not thread.is_alive(), 5, "its thread to end")
