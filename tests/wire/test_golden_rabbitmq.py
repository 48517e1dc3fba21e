"""What goes over RabbitMQ, word for word: a change here is a change for every producer and worker that is running."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import amqp
import msgspec
import pytest

from taskbridge.backend import Delivery
from taskbridge.errors import DecodeError, NotSupported
from taskbridge.message import Message
from taskbridge.rabbitmq.broker import Dialect
from taskbridge.rabbitmq.content import Content
from taskbridge.rabbitmq.queues import Names, Parcel, Queue
from taskbridge_celery import wire as celery_wire
from taskbridge_celery.rabbitmq import CeleryDialect
from taskbridge_dramatiq.rabbitmq import DramatiqDialect

from .test_golden import CELERY_OURS, CHUNK, DRAMATIQ_V1, LINK, MESSAGE, TIMED, TRACED

DIALECTS: list[Dialect] = [CeleryDialect(), DramatiqDialect()]


def carried(parcel: Parcel) -> Content:
    """What comes out of the broker when this went in, by py-amqp's own writer."""
    message = amqp.Message(parcel.body, **parcel.properties)
    content = Content((60, 60), b"")
    head = struct.pack(">HHQ", 60, 0, len(parcel.body)) + message._serialize_properties()
    assert content.begin(head) or content.add(parcel.body)
    return content


def read(dialect: Dialect, parcel: Parcel, queue: str = "ledger") -> Delivery:
    delivery = Delivery(tag="1.1", queue=queue, raw=parcel.body)
    dialect.decode(delivery, carried(parcel))
    return delivery


@pytest.mark.parametrize("dialect", DIALECTS, ids=["celery", "dramatiq"])
@pytest.mark.parametrize("message", [MESSAGE, TIMED, LINK, CHUNK, TRACED])
def test_every_message_comes_back_equal(dialect: Dialect, message: Message):
    """Cursors, traces and times of their own included."""
    assert message == read(dialect, dialect.encode(message, "ledger", front=False)).message


def test_celery_messages_are_protocol_2_with_one_header_of_ours():
    """Headers are a table, the body is a list, our own words are JSON in one header, as text."""
    parcel = CeleryDialect().encode(MESSAGE, "ledger-high", front=False)

    headers = parcel.properties.pop("application_headers")
    assert {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "priority": 0,
        "correlation_id": "5f0c",
        "reply_to": None,
    } == parcel.properties
    assert [[7, "1.50"], {"currency": "EUR"}, celery_wire.NO_EMBED] == json.loads(parcel.body)
    assert CELERY_OURS == json.loads(headers.pop("taskbridge"))
    assert {
        "lang": "py",
        "task": "bank.tasks.book",
        "id": "5f0c",
        "root_id": "5f0c",
        "parent_id": None,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": "",
        "kwargsrepr": "",
        "origin": celery_wire.ORIGIN,
        "ignore_result": False,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    } == headers


def test_dramatiq_messages_are_json_and_no_more():
    """As on Redis, but for the key that Redis needs."""
    parcel = DramatiqDialect().encode(MESSAGE, "ledger-high", front=False)

    assert DRAMATIQ_V1.replace(b'"redis_message_id":"5f0c.3",', b"") == parcel.body
    assert {"delivery_mode": 2} == parcel.properties


def test_queues_have_names_and_shapes_of_their_engine():
    """The two never share one; Dramatiq's have its own dead letters beside them."""
    celery, dramatiq = DIALECTS
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "ledger-dramatiq.XQ"}

    assert [Queue("ledger", {})] == celery.shape("ledger", {})
    assert [Queue("ledger", {"x-queue-type": "quorum"})] == celery.shape("ledger", {"x-queue-type": "quorum"})
    for name in ("ledger-dramatiq", "ledger-dramatiq.DQ"):
        beside = Queue("ledger-dramatiq.XQ", {"x-message-ttl": 604_800_000})
        assert [Queue(name, dead), beside] == dramatiq.shape(name, {})
    names = [Names(prefix="p-", suffix=one.suffix, last=one.last) for one in DIALECTS]
    assert ["p-q-front", "p-q-high", "p-q", "p-q-low"] == [one.name for one in names[0].read("q")]
    assert [
        *("p-q-dramatiq-front", "p-q-dramatiq-high", "p-q-dramatiq", "p-q-dramatiq-low"),
        "p-q-dramatiq.DQ",
    ] == [one.name for one in names[1].read("q")]
    with pytest.raises(NotSupported, match="ends in '-dramatiq' is another engine's on RabbitMQ"):
        Names(prefix="", suffix="", others=celery.others).of("q-dramatiq")
    with pytest.raises(NotSupported, match="ends in '-front' is a part of another queue"):
        names[1].of("q-front")
    assert {"q"} == {one.queue_of(reading.name) for one in names for reading in one.read("q")}


#: A native Celery message as RabbitMQ 3.10 handed it out, with what Celery 5.7 and kombu 5.7 put into it.
NATIVE_HEADERS: dict[str, Any] = {
    "lang": "py",
    "task": "bank.tasks.book",
    "id": "5e1f",
    "shadow": None,
    "eta": "2026-01-01T12:00:00+00:00",
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 1,
    "timelimit": [None, None],
    "root_id": "5e1f",
    "parent_id": None,
    "argsrepr": "[1]",
    "kwargsrepr": "{}",
    "origin": "gen1@host",
    "ignore_result": False,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
    "tenant": "north",
}


def native(body: bytes, **more: Any) -> Parcel:
    headers = NATIVE_HEADERS | more
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "application_headers": headers,
        "delivery_mode": 2,
        "priority": 0,
        "correlation_id": "5e1f",
        "reply_to": "c0ffee",
    }
    return Parcel("ledger", body, properties)


def test_a_native_celery_message_keeps_what_we_have_no_word_for():
    """Its headers, callbacks and where it wants an answer survive the store and go back to Celery."""
    body = json.dumps([[1], {"a": 2}, celery_wire.NO_EMBED | {"errbacks": [{"task": "oops"}]}]).encode()
    delivery = read(CeleryDialect(), native(body))
    message = delivery.message
    assert message is not None

    again = CeleryDialect().encode(message, "ledger", front=False)

    assert ("5e1f#1", 1_767_268_800_000, "celery") == (message.id, message.due_at_ms, message.engine)
    assert "north" == again.properties["application_headers"]["tenant"]
    assert ("5e1f", "c0ffee") == (again.properties["correlation_id"], again.properties["reply_to"])
    assert json.loads(body) == json.loads(again.body)
    second = read(CeleryDialect(), again).message
    assert second
    assert message.id == second.id
    assert again.properties == CeleryDialect().encode(second, "ledger", front=False).properties


def test_a_native_header_that_no_table_holds_travels_as_its_json():
    """It may have come by another broker, where headers are JSON."""
    headers = {"big": 2**70, "deep": {"k" * 300: 1}, "lang": "py"}
    raw = msgspec.json.encode({"id": "x" * 300, "headers": headers})
    message = MESSAGE.copy(engine="celery", native=msgspec.Raw(raw))

    parcel = CeleryDialect().encode(message, "ledger", front=False)

    found = carried(parcel).properties()["application_headers"]
    assert (str(2**70), {"k" * 300: 1}) == (found["big"], json.loads(found["deep"]))
    assert parcel.properties["correlation_id"] is None
    assert "x" * 300 == found["id"]


def test_a_compressed_native_message_is_read():
    """As Celery's ``task_compression`` makes them."""
    body = zlib.compress(json.dumps([[1], {}, celery_wire.NO_EMBED]).encode())

    message = read(CeleryDialect(), native(body, compression="application/x-gzip")).message

    assert message
    assert b"[1]" == bytes(message.args)


@pytest.mark.parametrize(
    ("parcel", "says"),
    [
        (native(b"[[1], {}]"), "expected a Celery message"),
        (native(b"\x80\x02]q\x00."), "expected a Celery message"),
        (Parcel("ledger", b"[]", {}), "its content type is ; taskbridge reads application/json"),
        (DramatiqDialect().encode(MESSAGE, "ledger", front=False), "a message of Dramatiq's in a queue of Celery's"),
    ],
)
def test_what_is_no_celery_message_is_refused(parcel: Parcel, says: str):
    """And says why."""
    with pytest.raises(DecodeError, match=says):
        read(CeleryDialect(), parcel)


def test_a_celery_message_is_no_dramatiq_message():
    """It names the task, which its body does not."""
    with pytest.raises(DecodeError, match=r"a message of Celery's \(bank.tasks.book\) in a queue of Dramatiq's"):
        read(DramatiqDialect(), CeleryDialect().encode(MESSAGE, "ledger", front=False))


def test_the_dead_letters_keep_all_that_a_message_came_with():
    """The bytes alone where there is nothing else; or JSON with headers and properties beside them."""
    assert b"\xff" == carried(Parcel("ledger", b"\xff", {"delivery_mode": 2})).whole()
    whole = json.loads(carried(native(b"\xff")).whole())
    assert ("/w==", "bank.tasks.book", "c0ffee") == (
        whole["body"],
        whole["headers"]["task"],
        whole["properties"]["reply_to"],
    )
