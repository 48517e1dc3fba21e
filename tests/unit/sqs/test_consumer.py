"""A consumer: what it takes in which order, what it holds, and what becomes of it whatever the loop does meanwhile."""

from __future__ import annotations

import gc
import select
import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from taskbridge.backend import Backend, Consumer, Delivery
from taskbridge.errors import BrokerUnavailable
from taskbridge.sqs import receipts, receiver
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message
from tests.meddler import Answer, Meddler, Meddling, error, said
from tests.servers import until
from tests.sqs import SqsServer, bodies

from .conftest import Stage

STORE = MemoryStore(FakeClock())

#: What boto calls some actions.
METHODS = {
    "DeleteMessageBatch": "delete_message_batch",
    "ChangeMessageVisibilityBatch": "change_message_visibility_batch",
}


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
    return until(lambda: here.fetch(limit) or (woken(here, 0.5) and here.fetch(limit)), 20, "a delivery")


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


def test_an_idle_loop_is_woken(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """By what comes into a queue that was found empty, whichever; fetching asks no more then."""
    monkeypatch.setattr(receipts, "QUIET_S", 60.0)  # an idle loop asks each second, and this one sleeps
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
    began_s, before = time.monotonic(), stage.meddler.asked.copy()

    def asked() -> Counter[str]:
        here.fetch(1)
        return stage.meddler.asked - before

    until(lambda: asked()["ReceiveMessage"] >= 3, 20, "three polls")

    assert receiver.POLL_S * (asked()["ReceiveMessage"] - 1) <= time.monotonic() - began_s
    assert {"ReceiveMessage", "GetQueueUrl"} == set(asked())


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
    """Soon after the start, when its first message is likely, and then rarely, for each look is a request.

    At least the first pause after the first look, twice as long after the next, and so on; at most the longest.
    """
    monkeypatch.setattr(receiver, "LOOK_S", (0.05, 0.2))
    looks_s: dict[str, list[float]] = {}

    def note(action: str, words: dict[str, Any]) -> Answer:
        if action == "GetQueueUrl":
            looks_s.setdefault(words["QueueName"], []).append(time.monotonic())
        return None

    stage.meddler.meddle = note
    here = consumer(stage.backend())

    def looked() -> int:
        here.fetch(1)
        return min(len(looks_s.get(f"mail-{part}", ())) for part in ("front", "high", "low"))

    until(lambda: looked() >= 10, 20, "ten looks at each part")

    least_s = [0.05, 0.1, *[0.2] * 7]
    for part in ("front", "high", "low"):
        pauses_s = [after - before for before, after in pairwise(looks_s[f"mail-{part}"])]
        assert all(least <= pause for least, pause in zip(least_s, pauses_s, strict=False)), pauses_s
    assert 1 == len(looks_s["mail"])


def test_what_is_acknowledged_is_deleted_in_batches(stage: Stage, sqs: SqsServer, monkeypatch: pytest.MonkeyPatch):
    """Ten in a request, and the last few soon."""
    monkeypatch.setattr(receipts, "SETTLED_S", 5.0)
    backend = stage.backend()
    backend.publish([a_message(queue="mail") for _ in range(13)])
    here = consumer(backend)

    for one in [*here.fetch(10), *here.fetch(10)]:
        here.acknowledge(one)

    until(lambda: "0" == in_flight(sqs, "mail"), 20, "all to be deleted")
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

    back = fetched(other)  # one may be seen before the other
    until(lambda: back.extend(other.fetch(10)) or len(back) >= 2, 20, "the other one")

    assert ["waits-1", "waits-2"] == sorted(ids(back))
    assert [False, True, True] == [one.withdrawn for one in hand]


def test_what_a_slow_sqs_has_handed_over_is_not_given_back(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """That its answer takes long says nothing of tasks: each is handed over once, and bands keep their order."""
    monkeypatch.setattr(receipts, "LONG_RUN_S", 3.0)
    backend = stage.backend()
    for priority, id in ((0, "low"), (5, "mid"), (9, "high")):
        send(backend, f"{id}-1", f"{id}-2", priority=priority)

    def slowly(action: str, words: dict[str, Any]) -> None:
        if action == "ReceiveMessage" and words["QueueUrl"].endswith("low"):
            time.sleep(receipts.LONG_RUN_S + 0.3)

    stage.meddler.meddle = slowly
    here = consumer(backend)

    hand = [one for _ in range(6) for one in here.fetch(1)]

    assert ["high-1", "high-2", "mid-1", "mid-2", "low-1", "low-2"] == ids(hand)
    assert not any(one.withdrawn for one in hand)


@pytest.fixture
def hidden_for(brief: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long enough for half of it to be more than a busy machine has a thread wait."""
    for module in (receipts, receiver):
        monkeypatch.setattr(module, "VISIBILITY_S", 6)


def stays_hidden(other: Consumer) -> None:
    """Nobody else gets it for longer than it would be hidden if that were asked for once."""
    deadline_s = time.monotonic() + 1.75 * receipts.VISIBILITY_S
    while time.monotonic() < deadline_s:
        assert [] == other.fetch(1)
        time.sleep(0.05)


@pytest.mark.usefixtures("hidden_for")
def test_what_runs_stays_hidden(stage: Stage, sqs: SqsServer):
    """For longer than the visibility; it is deleted when it is done."""
    backend = stage.backend()
    send(backend, "runs")
    here, other = consumer(backend), consumer(backend)
    (running,) = here.fetch(10)

    stays_hidden(other)

    here.acknowledge(running)
    until(lambda: "0" == in_flight(sqs, "mail"), 20, "it to be deleted")


@pytest.mark.usefixtures("brief")
def test_what_a_dead_process_held_is_seen_again(stage: Stage):
    """When its time is over, without anybody's help."""
    backend = stage.backend()
    send(backend, "a")
    gone = consumer(backend)
    gone.fetch(10)
    gone._receipts.closed = True  # its thread hides nothing any more, and gives nothing back

    assert ["a"] == ids(fetched(consumer(backend)))


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

    def polls_nothing() -> bool:
        before = stage.meddler.asked["ReceiveMessage"]
        time.sleep(receiver.POLL_S + 0.8)  # whatever poll was open has ended, and the next had begun
        return before == stage.meddler.asked["ReceiveMessage"]

    until(polls_nothing, 20, "a poll's time without a poll")


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
        until(lambda: consumer(backend).fetch(1), 20, "an error")

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

    until(lambda: bodies(sqs.client(), "mail") == [] and "0" == in_flight(sqs, "mail"), 20, "it to be deleted")
    assert 4 == stage.meddler.asked["DeleteMessageBatch"]  # boto tries three times, then we


def refuse_the_first_of(action: str, sqs: SqsServer) -> Meddling:
    """Do of one batch all but its first entry, which is refused, as SQS does where it is in trouble for a moment."""
    times = iter([action])

    def meddle(asked: str, words: dict[str, Any]) -> Answer:
        if asked != action or next(times, "") != action:
            return None
        first, *others = words["Entries"]
        done = getattr(sqs.client(), METHODS[action])(**words | {"Entries": others}) if others else {}
        failed = {"Id": first["Id"], "Code": "InternalError", "SenderFault": False, "Message": "as the test says"}
        return said({"Successful": done.get("Successful", []), "Failed": [failed]})

    return meddle


def refuse_once(action: str, _sqs: SqsServer) -> Meddling:
    """Refuse a whole batch once."""
    times = iter([action])
    return lambda asked, _words: error("OverLimit", 403) if asked == action and next(times, "") else None


def test_what_was_refused_among_others_is_deleted_all_the_same(stage: Stage, sqs: SqsServer):
    """Else it would come again, and what wants no ledger would run again."""
    backend = stage.backend()
    send(backend, "a", "b", "c")
    hand = (here := consumer(backend)).fetch(3)
    stage.meddler.meddle = refuse_the_first_of("DeleteMessageBatch", sqs)

    for one in hand:
        here.acknowledge(one)

    until(lambda: "0" == in_flight(sqs, "mail"), 20, "all to be deleted")
    assert 0 == backend.depth("mail")


@pytest.mark.usefixtures("hidden_for")
@pytest.mark.parametrize("how", ["all", "one"])
def test_what_could_not_be_hidden_again_is_hidden_in_time(
    stage: Stage, sqs: SqsServer, monkeypatch: pytest.MonkeyPatch, how: str
):
    """What runs is tried again soon: not when its time is over, and another has it."""
    monkeypatch.setattr(receipts, "AGAIN_S", 0.1)
    backend = stage.backend()
    send(backend, "runs")
    here, other = consumer(backend), consumer(backend)
    (running,) = here.fetch(10)
    refuse = refuse_once if how == "all" else refuse_the_first_of
    stage.meddler.meddle = refuse("ChangeMessageVisibilityBatch", sqs)

    stays_hidden(other)

    here.acknowledge(running)
    until(lambda: "0" == in_flight(sqs, "mail"), 20, "it to be deleted")


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("action", METHODS)
def test_what_is_gone_is_not_asked_for_soon(stage: Stage, monkeypatch: pytest.MonkeyPatch, action: str):
    """Its copy was recognised elsewhere, and deleted: SQS calls it our fault, however often it is asked."""
    monkeypatch.setattr(receipts, "AGAIN_S", 0.05)
    backend = stage.backend()
    send(backend, "a")
    (one,) = (here := consumer(backend)).fetch(1)
    gone = {"Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": True, "Message": "it is gone"}
    asked_s: list[float] = []

    def meddle(asked: str, _words: dict[str, Any]) -> Answer:
        if asked != action:
            return None
        asked_s.append(time.monotonic())
        return said({"Failed": [gone]})

    stage.meddler.meddle = meddle
    if action == "DeleteMessageBatch":
        here.acknowledge(one)
    until(lambda: asked_s, 20, "it to be asked")
    soon_s = receipts.VISIBILITY_S / 4  # half of what is left until it is asked again
    time.sleep(soon_s)

    assert 1 == sum(at_s < asked_s[0] + soon_s for at_s in asked_s)


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


def test_a_queue_that_is_refused_for_now_holds_up_no_other(stage: Stage):
    """Too much of it is in flight, say, or its key cannot be had: it is told, and left alone for a while."""
    backend = stage.backend()
    send(backend, "a")
    send(backend, "b", queue="full")
    stage.meddler.meddle = lambda action, words: (
        error("OverLimit", 403) if action == "ReceiveMessage" and words["QueueUrl"].endswith("full") else None
    )
    here = consumer(backend, "full", "mail")
    told: list[str] = []

    def patient() -> list[str]:
        try:
            return ids(here.fetch(1))
        except BrokerUnavailable as error:
            told.append(str(error))
            return []

    assert ["a"] == until(patient, 20, "the other queue's")
    assert all("OverLimit" in text for text in told)
    assert told
    stage.meddler.meddle = lambda action, words: None
    assert ["b"] == until(patient, 30, "its own, when it may be had")


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

    until(lambda: not thread.is_alive(), 20, "its thread to end")
