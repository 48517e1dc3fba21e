"""What goes over the wire, byte for byte: a change here is a change for every producer and worker that is running."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from taskbridge.errors import DecodeError
from taskbridge.message import Flow, Message, Shadow, decode, encode, foreign_id
from taskbridge_celery import wire as celery_wire
from taskbridge_dramatiq import wire as dramatiq_wire

MESSAGE = Message(
    id="5f0c",
    task="bank.tasks.book",
    queue="ledger",
    args=msgspec.Raw(b'[7,"1.50"]'),
    kwargs=msgspec.Raw(b'{"currency":"EUR"}'),
    enqueued_at_ms=1_767_268_800_000,
    due_at_ms=1_767_268_860_000,
    expires_at_ms=1_767_269_400_000,
    priority=9,
    seq=3,
    attempt=2,
    released_at_ms=1_767_268_860_100,
    route_key="7",
)

#: Version 1 of the message as the store keeps it. Never edited: a new version gets a line of its own.
STORED_V1 = (
    b'{"id":"5f0c","task":"bank.tasks.book","queue":"ledger","args":[7,"1.50"],"kwargs":{"currency":"EUR"},'
    b'"enqueued_at_ms":1767268800000,"due_at_ms":1767268860000,"expires_at_ms":1767269400000,"priority":9,"seq":3,'
    b'"attempt":2,"released_at_ms":1767268860100,"route_key":"7"}'
)

CELERY_OURS: dict[str, Any] = {
    "id": "5f0c",
    "queue": "ledger",
    "seq": 3,
    "attempt": 2,
    "priority": 9,
    "enqueued_at_ms": 1767268800000,
    "due_at_ms": 1767268860000,
    "expires_at_ms": 1767269400000,
    "released_at_ms": 1767268860100,
    "route_key": "7",
}

DRAMATIQ_V1 = (
    b'{"queue_name":"ledger-high","actor_name":"bank.tasks.book","args":[7,"1.50"],"kwargs":{"currency":"EUR"},'
    b'"options":{"redis_message_id":"5f0c.3","taskbridge":{"id":"5f0c","queue":"ledger","seq":3,"attempt":2,'
    b'"priority":9,"enqueued_at_ms":1767268800000,"due_at_ms":1767268860000,"expires_at_ms":1767269400000,'
    b'"released_at_ms":1767268860100,"route_key":"7"}},"message_id":"5f0c","message_timestamp":1767268800000}'
)


#: A call with timeouts of its own; without them no byte of a message differs.
TIMED = MESSAGE.copy(timeout_ms=30_000, hard_timeout_ms=-1)
STORED_TIMED_V1 = STORED_V1[:-1] + b',"timeout_ms":30000,"hard_timeout_ms":-1}'
DRAMATIQ_TIMED_V1 = DRAMATIQ_V1.replace(
    b'"route_key":"7"}', b'"route_key":"7","timeout_ms":30000,"hard_timeout_ms":-1}'
)


def test_a_call_of_its_own_timeouts_says_so_at_the_end():
    """On every wire two words more, and it is read back equal; an older release reads it without them."""
    celery = celery_wire.encode(TIMED, "ledger-high")

    assert STORED_TIMED_V1 == encode(TIMED)
    assert DRAMATIQ_TIMED_V1 == dramatiq_wire.encode(TIMED, "ledger-high", "5f0c.3")
    assert CELERY_OURS | {"timeout_ms": 30000, "hard_timeout_ms": -1} == json.loads(celery)["headers"]["taskbridge"]
    assert TIMED == decode(STORED_TIMED_V1) == celery_wire.decode(celery, "ledger")[0]
    assert TIMED == dramatiq_wire.decode(DRAMATIQ_TIMED_V1, "ledger")[0]


#: The first of a chain of two, which is the same as that of a chain of ten thousand.
LINK = MESSAGE.copy(id="5f0c:0", flow=Flow(chain="5f0c", link=0, gives=True))
LINK_FLOW = b',"flow":{"chain":"5f0c","gives":true}'
STORED_LINK_V1 = STORED_V1[:-1].replace(b'"id":"5f0c"', b'"id":"5f0c:0"') + LINK_FLOW + b"}"
DRAMATIQ_LINK_V1 = (
    DRAMATIQ_V1.replace(b'"id":"5f0c"', b'"id":"5f0c:0"')
    .replace(b'"message_id":"5f0c"', b'"message_id":"5f0c:0"')
    .replace(b'"route_key":"7"}', b'"route_key":"7"' + LINK_FLOW + b"}")
)


def test_a_link_of_a_chain_says_so_at_the_end():
    """Which one of which, and whether its result is for the next; what follows lies in the store."""
    celery = celery_wire.encode(LINK, "ledger-high")

    assert STORED_LINK_V1 == encode(LINK)
    assert DRAMATIQ_LINK_V1 == dramatiq_wire.encode(LINK, "ledger-high", "5f0c.3")
    ours = json.loads(celery)["headers"]["taskbridge"]
    assert CELERY_OURS | {"id": "5f0c:0", "flow": {"chain": "5f0c", "gives": True}} == ours
    assert LINK == decode(STORED_LINK_V1) == celery_wire.decode(celery, "ledger")[0]
    assert LINK == dramatiq_wire.decode(DRAMATIQ_LINK_V1, "ledger")[0]


def test_the_last_link_says_which_it_is():
    """And gives nothing on."""
    last = MESSAGE.copy(flow=Flow(chain="5f0c", link=1))

    assert STORED_V1[:-1] + b',"flow":{"chain":"5f0c","link":1}}' == encode(last)
    assert last == decode(encode(last)) == celery_wire.decode(celery_wire.encode(last, "ledger"), "ledger")[0]


def test_what_has_waited_already_says_so_at_the_end():
    """One word more, by which ``push.lua`` knows those at the front; it is no part of the message."""
    celery = celery_wire.encode(MESSAGE, "ledger-high", front=True)
    dramatiq = dramatiq_wire.encode(MESSAGE, "ledger-high", "5f0c.3", front=True)

    assert DRAMATIQ_V1.replace(b'"route_key":"7"}', b'"route_key":"7","front":true}') == dramatiq
    assert b'"route_key":"7","front":true}' in celery
    assert [MESSAGE, MESSAGE] == [celery_wire.decode(celery, "ledger")[0], dramatiq_wire.decode(dramatiq, "ledger")[0]]


#: A chunk of a run that is a link of a chain; its cursor and its bounds are JSON.
BOUNDS = b'{"kind":"keyset","start":null}'
CHUNK = MESSAGE.copy(
    flow=Flow(chain="c9", link=2, run="5f0c", chunk=3, round=1, at=msgspec.Raw(b'["a",7]'), bounds=msgspec.Raw(BOUNDS))
)
FLOW = b'{"chain":"c9","link":2,"run":"5f0c","chunk":3,"round":1,"at":["a",7],"bounds":' + BOUNDS + b"}"


def test_what_a_message_is_part_of_stands_at_the_end():
    """One word more on every wire, read back equal."""
    celery, dramatiq = celery_wire.encode(CHUNK, "ledger-high"), dramatiq_wire.encode(CHUNK, "ledger-high", "5f0c.3")

    assert STORED_V1[:-1] + b',"flow":' + FLOW + b"}" == encode(CHUNK)
    assert DRAMATIQ_V1.replace(b'"route_key":"7"}', b'"route_key":"7","flow":' + FLOW + b"}") == dramatiq
    assert CELERY_OURS | {"flow": json.loads(FLOW)} == json.loads(celery)["headers"]["taskbridge"]
    read = [celery_wire.decode(celery, "ledger")[0], dramatiq_wire.decode(dramatiq, "ledger")[0]]
    assert [CHUNK, CHUNK] == read
    assert CHUNK == decode(encode(CHUNK))


#: One that was sent where a tracer was at work.
TRACE = b'{"sentry-trace":"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"}'
TRACED = MESSAGE.copy(trace=msgspec.Raw(TRACE))


def test_what_joins_it_to_its_sender_stands_at_the_end():
    """One word more on every wire, read back equal."""
    celery, dramatiq = celery_wire.encode(TRACED, "ledger-high"), dramatiq_wire.encode(TRACED, "ledger-high", "5f0c.3")

    assert STORED_V1[:-1] + b',"trace":' + TRACE + b"}" == encode(TRACED)
    assert DRAMATIQ_V1.replace(b'"route_key":"7"}', b'"route_key":"7","trace":' + TRACE + b"}") == dramatiq
    assert CELERY_OURS | {"trace": json.loads(TRACE)} == json.loads(celery)["headers"]["taskbridge"]
    read = [celery_wire.decode(celery, "ledger")[0], dramatiq_wire.decode(dramatiq, "ledger")[0]]
    assert [TRACED, TRACED, TRACED] == [*read, decode(encode(TRACED))]


#: One that rules of the route table may know by its tags, with a key that their shares are sticky by.
ROUTED = MESSAGE.copy(tags=("payments", "nightly"), route_keys={"{user_id}": "7"})
ROUTED_WORDS = b',"tags":["payments","nightly"],"route_keys":{"{user_id}":"7"}'


def test_what_routes_go_by_stands_at_the_end():
    """Two words more on every wire, read back equal."""
    celery, dramatiq = celery_wire.encode(ROUTED, "ledger-high"), dramatiq_wire.encode(ROUTED, "ledger-high", "5f0c.3")

    assert STORED_V1[:-1] + ROUTED_WORDS + b"}" == encode(ROUTED)
    assert DRAMATIQ_V1.replace(b'"route_key":"7"}', b'"route_key":"7"' + ROUTED_WORDS + b"}") == dramatiq
    words = {"tags": ["payments", "nightly"], "route_keys": {"{user_id}": "7"}}
    assert CELERY_OURS | words == json.loads(celery)["headers"]["taskbridge"]
    read = [celery_wire.decode(celery, "ledger")[0], dramatiq_wire.decode(dramatiq, "ledger")[0]]
    assert [ROUTED, ROUTED, ROUTED] == [*read, decode(encode(ROUTED))]


#: One that has a copy on another backend, and that copy.
SHADOWED = MESSAGE.copy(shadow=Shadow(rule="s2"))
COPY = MESSAGE.copy(id="5f0c~shadow", shadow=Shadow(rule="s2", of="5f0c"))


@pytest.mark.parametrize(("message", "words"), [(SHADOWED, b'{"rule":"s2"}'), (COPY, b'{"rule":"s2","of":"5f0c"}')])
def test_what_is_compared_says_so_at_the_end(message: Message, words: bytes):
    """One word more on every wire, read back equal; without it no byte of a message differs."""
    id, said = message.id.encode(), b',"shadow":' + words
    celery, dramatiq = celery_wire.encode(message, "ledger-high"), dramatiq_wire.encode(message, "ledger-high", "r")

    assert STORED_V1[:-1].replace(b'"id":"5f0c"', b'"id":"' + id + b'"') + said + b"}" == encode(message)
    assert b'"route_key":"7"' + said + b"}" in dramatiq
    ours = json.loads(celery)["headers"]["taskbridge"]
    assert CELERY_OURS | {"id": message.id, "shadow": json.loads(words)} == ours
    read = [celery_wire.decode(celery, "ledger")[0], dramatiq_wire.decode(dramatiq, "ledger")[0]]
    assert [message, message, message] == [*read, decode(encode(message))]
    assert bool(message.shadow and message.shadow.of) == message.is_copy


def test_a_native_producers_trace_is_the_messages():
    """Where Sentry, and tracers of W3C's, put it in either engine's message; kept through store and wire."""
    headers = {"sentry-trace": "1-2-1", "baggage": "sentry-trace_id=1", "traceparent": "00-1-2-01"}
    body = json.dumps([[], {}, {}])
    celery = {"body": body, "headers": {"id": "1", "task": "t", "lang": "py", **headers}, "properties": {}}
    dramatiq = {
        "queue_name": "q",
        "actor_name": "t",
        "args": [],
        "kwargs": {},
        "options": {"traceparent": "00-1-2-01", "_sentry_headers": headers | {"baggage": None} | headers},
        "message_id": "1",
        "message_timestamp": 5,
    }

    for native, wire in ((celery, celery_wire), (dramatiq, dramatiq_wire)):
        message, _ = wire.decode(json.dumps(native).encode(), "q")
        again = decode(encode(message))
        encoded = celery_wire.encode(again, "q") if wire is celery_wire else dramatiq_wire.encode(again, "q", "r")
        assert headers == json.loads(bytes(message.trace)) == json.loads(bytes(wire.decode(encoded, "q")[0].trace))


@pytest.mark.parametrize("odd", [None, 7, ["a"], {"sentry-trace": None}, {"sentry-trace": {}}])
def test_an_odd_trace_of_a_native_producer_is_none(odd: Any):
    """It costs no message."""
    options = {"_sentry_headers": odd, "traceparent": odd}
    native = {"queue_name": "q", "actor_name": "t", "args": [], "kwargs": {}, "options": options}

    message, _ = dramatiq_wire.decode(json.dumps(native | {"message_id": "1", "message_timestamp": 5}).encode(), "q")

    assert b"{}" == bytes(message.trace)


def test_the_stored_message_is_as_it_was():
    """The store's form of a message is fixed, and read back equal."""
    assert STORED_V1 == encode(MESSAGE)
    assert MESSAGE == decode(STORED_V1)


def test_a_message_of_another_version_is_refused():
    """A release does not guess at a form it does not know."""
    with pytest.raises(DecodeError, match="version 2"):
        decode(b'{"id":"1","task":"t","queue":"q","v":2}')


def test_celery_messages_are_protocol_2_with_one_header_of_ours():
    """Celery's envelope is complete for any Celery worker; our words are in one header."""
    envelope = json.loads(celery_wire.encode(MESSAGE, "ledger-high"))

    body = json.loads(envelope["body"])
    assert [[7, "1.50"], {"currency": "EUR"}, celery_wire.NO_EMBED] == body
    assert CELERY_OURS == envelope["headers"]["taskbridge"]
    assert ("bank.tasks.book", "5f0c", 0) == tuple(envelope["headers"][name] for name in ("task", "id", "retries"))
    assert {"exchange": "", "routing_key": "ledger-high"} == envelope["properties"]["delivery_info"]
    assert ("application/json", "utf-8") == (envelope["content-type"], envelope["content-encoding"])


def test_celery_messages_come_back_equal():
    """Nothing of a message is lost on Celery's wire."""
    message, _ = celery_wire.decode(celery_wire.encode(MESSAGE, "ledger-high"), "ledger")

    assert MESSAGE == message


def test_dramatiq_messages_are_as_they_were():
    """Dramatiq's form is fixed, and read back equal."""
    raw = dramatiq_wire.encode(MESSAGE, "ledger-high", "5f0c.3")

    assert DRAMATIQ_V1 == raw
    assert MESSAGE == dramatiq_wire.decode(raw, "ledger")[0]


def test_a_native_celery_message_keeps_what_we_have_no_word_for():
    """Chain, callbacks and headers of a native message survive the store and go back to Celery."""
    chain = [{"task": "next", "args": [], "kwargs": {}, "options": {}, "subtask_type": None}]
    native = json.dumps(
        {
            "body": json.dumps([[1], {"a": 2}, celery_wire.NO_EMBED | {"chain": chain}]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"id": "abc", "task": "bank.tasks.book", "retries": 1, "root_id": "root", "expires": None},
            "properties": {"correlation_id": "abc", "reply_to": "mine", "delivery_tag": "t", "delivery_info": {}},
        }
    ).encode()

    message, _ = celery_wire.decode(native, "ledger")
    through_the_store = decode(encode(message.copy(seq=2)))
    again = json.loads(celery_wire.encode(through_the_store, "ledger"))
    back, _ = celery_wire.decode(json.dumps(again).encode(), "ledger")

    assert ("abc#1", 2) == (back.id, back.seq)
    assert chain == json.loads(again["body"])[2]["chain"]
    assert ("abc", "root", 1) == tuple(again["headers"][name] for name in ("id", "root_id", "retries"))
    assert "mine" == again["properties"]["reply_to"]


def test_a_native_dramatiq_message_keeps_its_options():
    """Pipelines and callbacks of a native message survive the store and go back to Dramatiq."""
    native = {
        "queue_name": "ledger",
        "actor_name": "book",
        "args": [1],
        "kwargs": {},
        "options": {"redis_message_id": "r", "pipe_target": {"x": 1}, "retries": 2},
        "message_id": "abc",
        "message_timestamp": 5,
    }

    message, _ = dramatiq_wire.decode(json.dumps(native).encode(), "ledger")
    again = json.loads(dramatiq_wire.encode(decode(encode(message.copy(seq=2))), "ledger", "r2"))

    assert ("abc#2", 2) == (again["options"]["taskbridge"]["id"], again["options"]["taskbridge"]["seq"])
    assert ({"x": 1}, "abc") == (again["options"]["pipe_target"], again["message_id"])


@pytest.mark.parametrize("name", ["callbacks", "errbacks", "chain", "chord"])
def test_a_native_celery_message_is_bound_by_what_follows_it(name: str):
    """Until it has ended; one that nothing follows may go to another engine."""
    for what, bound in (([{"task": "next"}], True), (None, False)):
        body = json.dumps([[], {}, celery_wire.NO_EMBED | {name: what}])
        envelope = {"body": body, "headers": {"id": "abc", "task": "t"}, "properties": {}}
        message, _ = celery_wire.decode(json.dumps(envelope).encode(), "q")
        again, _ = celery_wire.decode(celery_wire.encode(decode(encode(message.copy(seq=2))), "q"), "q")

        assert (bound, bound) == (message.bound, again.bound)
    assert not celery_wire.decode(celery_wire.encode(MESSAGE, "ledger"), "ledger")[0].bound


@pytest.mark.parametrize("name", ["pipe_target", "on_success", "on_failure", "group_completion_uuid"])
def test_a_native_dramatiq_message_is_bound_by_what_follows_it(name: str):
    """As one of Celery's."""
    words = {
        "queue_name": "q",
        "actor_name": "t",
        "args": [],
        "kwargs": {},
        "message_id": "abc",
        "message_timestamp": 5,
    }
    for what, bound in (("next", True), (None, False)):
        options = {"redis_message_id": "r", name: what}
        message, _ = dramatiq_wire.decode(json.dumps(words | {"options": options}).encode(), "q")
        again, _ = dramatiq_wire.decode(dramatiq_wire.encode(decode(encode(message.copy(seq=2))), "q", "r"), "q")

        assert (bound, bound) == (message.bound, again.bound)
    assert not dramatiq_wire.decode(DRAMATIQ_V1, "ledger")[0].bound


def test_a_long_foreign_id_is_hashed():
    """A key in the store has a bounded length, whatever a native producer calls its messages."""
    assert "short#0" == foreign_id("short", 0)
    assert 71 == len(foreign_id("x" * 1_000, 0))
    assert foreign_id("x" * 1_000, 0) != foreign_id("x" * 1_000, 1)


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe", b"null", b"[]", b"{}", b'{"body":1}', b'{"body":"{","headers":{},"properties":{}}']
)
@pytest.mark.parametrize("wire", [celery_wire, dramatiq_wire])
def test_anything_else_is_a_decode_error(wire: Any, raw: bytes):
    """No bytes make a decoder raise anything but DecodeError."""
    with pytest.raises(DecodeError):
        wire.decode(raw, "q")


@pytest.mark.parametrize("wire", [celery_wire, dramatiq_wire])
@pytest.mark.parametrize(
    "raw",
    [
        b"hunter2",
        b"\xffhunter2",
        b'{"body":"hunter2","headers":{}}',
        b'{"body":"hunter2","headers":{},"properties":{"body_encoding":"base64"}}',
        b'{"actor_name":"hunter2"',
        b'{"actor_name":"t","args":["hunter2"],"kwargs":{},"options":{"taskbridge":7}}',
        b'{"actor_name":"hunter2","body":"hunter2","headers":"hunter2"}',
    ],
)
def test_what_is_no_message_is_not_shown(wire: Any, raw: bytes):
    """Logs and reports have the text of the error; the bytes are in the dead letters."""
    with pytest.raises(DecodeError) as refused:
        wire.decode(raw, "q")

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("ours", "theirs", "why"),
    [
        (celery_wire, dramatiq_wire, "a message of Dramatiq's, in a queue of Celery's"),
        (dramatiq_wire, celery_wire, "a message of Celery's, in a queue of Dramatiq's"),
    ],
)
def test_the_other_engines_message_is_recognised(ours: Any, theirs: Any, why: str):
    """It is a stranger's, and whose is said."""
    with pytest.raises(DecodeError, match=why):
        ours.decode(theirs.encode(MESSAGE, "ledger"), "ledger")


def test_dramatiqs_message_has_a_key_on_redis_alone():
    """Elsewhere there is no hash to find it in; nothing else differs."""
    there = json.loads(dramatiq_wire.encode(MESSAGE, "ledger"))
    on_redis = json.loads(dramatiq_wire.encode(MESSAGE, "ledger", "5f0c.3"))

    del on_redis["options"]["redis_message_id"]
    assert on_redis == there


def test_a_celery_producers_group_comes_back():
    """kombu's word for a tenant of a fair queue travels through the store, and is told to SQS again."""
    native = {
        "body": "[[1],{},{}]",
        "headers": {"id": "abc", "task": "t"},
        "properties": {"MessageGroupId": "tenant-7", "reply_to": "r", "delivery_tag": "d"},
    }

    message, _ = celery_wire.decode(json.dumps(native).encode(), "ledger")
    kept = decode(encode(message))

    assert "tenant-7" == celery_wire.group_of(kept)
    assert ("tenant-7", "r") == tuple(
        json.loads(celery_wire.encode(kept, "ledger"))["properties"][name] for name in ("MessageGroupId", "reply_to")
    )
    assert "" == celery_wire.group_of(MESSAGE)
