"""Messages on their way out: ten in a request, one MiB in a request, and what is refused is told by name."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.config import Settings
from taskbridge.enqueue import Sender
from taskbridge.errors import BrokerUnavailable, PayloadTooLarge
from taskbridge.relay.due import PublishDue
from taskbridge.sqs import outgoing
from taskbridge.sqs.body import to_bytes
from taskbridge.sqs.outgoing import MOST_BYTES, Letter, batched
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock, a_message
from tests.meddler import Answer, error, said
from tests.sqs import SqsServer, bodies

from .conftest import Stage


@given(some.lists(some.integers(0, MOST_BYTES), max_size=60))
def test_batches_are_as_sqs_takes_them(sizes: list[int]):
    """All of them, in order, ten or fewer together, one MiB or less."""
    letters = [Letter(str(n), "x" * size) for n, size in enumerate(sizes)]

    batches = list(batched(letters))

    assert letters == [letter for batch in batches for letter in batch]
    assert all(1 <= len(batch) <= 10 and sum(len(one.body) for one in batch) <= MOST_BYTES for batch in batches)


def test_a_thousand_go_in_a_hundred_requests(stage: Stage, engine: str):
    """Single ones in one each."""
    backend = stage.backend(engine)

    backend.publish([a_message(queue="mail", id=f"m{n}") for n in range(1_000)])
    backend.publish([a_message(queue="mail")])

    assert (100, 1) == (stage.meddler.asked["SendMessageBatch"], stage.meddler.asked["SendMessage"])
    assert 1_001 == backend.depth("mail")


def test_what_is_too_large_is_refused_before_anything_is_sent(stage: Stage):
    """With its id and the limit."""
    backend = stage.backend(max_payload=2 * MOST_BYTES)
    large = a_message(queue="mail", id="large", kwargs=json.dumps({"x": "y" * 800_000}).encode())

    with pytest.raises(PayloadTooLarge, match=r"large is .* bytes as SQS has it"):
        backend.publish([a_message(queue="mail", id=f"m{n}") for n in range(20)] + [large])

    assert 0 == backend.depth("mail")


def a_small_queue(sqs: SqsServer, name: str) -> None:
    """Somebody made it so; we take it as it is."""
    sqs.client().create_queue(QueueName=name, Attributes={"MaximumMessageSize": "2048"})


@pytest.mark.parametrize("others", [0, 12])
def test_what_its_queue_never_takes_is_too_large(stage: Stage, sqs: SqsServer, others: int):
    """A queue's own limit counts; the others are sent, each once."""
    a_small_queue(sqs, "mail")
    large = a_message(queue="mail", id="large", args=msgspec.Raw(b'["' + b"x" * 3_000 + b'"]'))

    with pytest.raises(PayloadTooLarge, match="Message must be shorter than 2048 bytes"):
        stage.backend().publish([large, *(a_message(queue="mail", id=f"m{n}") for n in range(others))])

    assert others == len(bodies(sqs.client(), "mail"))


def test_what_is_too_large_when_it_is_due_holds_up_no_other(stage: Stage, sqs: SqsServer, clock: FakeClock):
    """The relay sends the rest, some of it twice, and it is dead with SQS's own words."""
    a_small_queue(sqs, "mail")
    store, backend = MemoryStore(clock), stage.backend()
    large = a_message(queue="mail", args=msgspec.Raw(b'["' + b"x" * 3_000 + b'"]'))
    small = [a_message(queue=queue, id=queue) for queue in ("mail", "urgent")]
    store.outbox.put([small[0], large, small[1]], 0)
    sender = Sender(settings=Settings(backend="celery"), clock=clock, store=lambda: store, backend=lambda _: backend)

    assert 2 == PublishDue(sender)()

    (letter,) = store.dead.list(5)
    assert large.id == letter.id
    assert "Message must be shorter than 2048 bytes" in letter.why
    for name in ("mail", "urgent"):
        assert {name} == {json.loads(to_bytes(text))["headers"]["id"] for text in bodies(sqs.client(), name)}


class Refusing:
    """Refuses the entries whose text is among some, so often; lets the rest through, as SQS does."""

    def __init__(self, ids: set[str], times: int) -> None:
        self.ids = ids
        self.left = times

    def __call__(self, action: str, words: dict[str, Any]) -> Answer:
        if action == "SendMessageBatch" and self.left:
            refused = [one["Id"] for one in words["Entries"] if self._is(one["MessageBody"])]
            if refused:
                self.left -= 1
                failed = [{"Id": id, "Code": "InternalError", "SenderFault": False, "Message": "no"} for id in refused]
                taken = [one["Id"] for one in words["Entries"] if one["Id"] not in refused]
                return said({"Failed": failed, "Successful": [{"Id": id, "MessageId": "x"} for id in taken]})
        if action == "SendMessage" and self.left and self._is(words["MessageBody"]):
            self.left -= 1
            return error("InternalError", 500)
        return None

    def _is(self, text: str) -> bool:
        return any(f'"id":"{id}"'.encode() in to_bytes(text) for id in self.ids)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "PATIENCE_S", (0.01, 0.02, 0.04))


def test_what_is_refused_in_a_batch_is_sent_again_alone(stage: Stage, sqs: SqsServer):
    """And the caller hears nothing of it."""
    stage.meddler.meddle = Refusing({"m3", "m7"}, 2)

    stage.backend().publish([a_message(queue="mail", id=f"m{n}") for n in range(10)])

    ids = [json.loads(to_bytes(text))["headers"]["id"] for text in bodies(sqs.client(), "mail")]
    assert ["m3", "m7"] == sorted(ids)  # the meddler kept the others to itself


def test_what_is_refused_until_the_end_is_named(stage: Stage):
    """With what SQS says; the others of the batch were sent."""
    stage.meddler.meddle = Refusing({"m3", "m7"}, 1_000)

    with pytest.raises(BrokerUnavailable, match=r"2 of 10 messages .*: m3 \(.*InternalError.*\), m7 \("):
        stage.backend().publish([a_message(queue="mail", id=f"m{n}") for n in range(10)])


def test_an_answer_that_forgets_a_message_has_not_taken_it(stage: Stage, sqs: SqsServer):
    """Neither taken nor refused is sent again."""
    stage.meddler.meddle = lambda action, _words: said({"Successful": []}) if action == "SendMessageBatch" else None

    stage.backend().publish([a_message(queue="mail", id=f"m{n}") for n in range(3)])

    assert 3 == len(bodies(sqs.client(), "mail"))


def test_a_native_producers_group_is_passed_on(stage: Stage, sqs: SqsServer):
    """A message that Celery put into a group of a fair queue goes back into it when it is published again."""
    seen: list[Any] = []

    def look(action: str, words: dict[str, Any]) -> Answer:
        if action.startswith("SendMessage"):
            seen.extend(one.get("MessageGroupId") for one in words.get("Entries", [words]))
        return None

    stage.meddler.meddle = look
    native = b'{"id":"n","properties":{"MessageGroupId":"tenant-7"}}'
    of_group = a_message(queue="mail", id="a", engine="celery", native=native)

    stage.backend().publish([of_group])
    stage.backend().publish([of_group, a_message(queue="mail", id="b")])

    assert ["tenant-7", "tenant-7", None] == seen
