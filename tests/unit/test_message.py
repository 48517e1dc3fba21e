"""Message: what the store keeps, read again by this release and the next."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.errors import DecodeError
from taskbridge.message import MAX_ID_BYTES, VERSION, Message, Shadow, decode, encode, foreign_id, new_id
from taskbridge.testing import a_message

numbers = some.integers(min_value=0, max_value=2**62)
texts = some.text(some.characters(exclude_categories=["Cs"]))
plain = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**53), 2**53) | texts,
    lambda inner: some.lists(inner) | some.dictionaries(texts, inner),
    max_leaves=8,
)
messages = some.builds(
    Message,
    id=texts,
    task=texts,
    queue=texts,
    args=some.lists(plain).map(lambda args: msgspec.Raw(msgspec.json.encode(args))),
    kwargs=some.dictionaries(texts, plain).map(lambda kwargs: msgspec.Raw(msgspec.json.encode(kwargs))),
    enqueued_at_ms=numbers,
    due_at_ms=numbers,
    expires_at_ms=numbers,
    priority=some.integers(0, 9),
    seq=numbers,
    attempt=numbers,
    engine=texts,
    released_at_ms=numbers,
    route_key=texts,
    tags=some.lists(texts).map(tuple),
    route_keys=some.none() | some.dictionaries(texts, texts),
    bound=some.booleans(),
    shadow=some.none() | some.builds(Shadow, rule=texts, of=texts),
)


@given(messages)
def test_message_comes_back_as_it_was(message: Message):
    """What ``encode`` wrote, ``decode`` reads, whatever is in it."""
    assert message == decode(encode(message))


def test_newer_field_is_no_obstacle():
    """A newer release adds fields; this one reads the rest of its messages."""
    body = json.dumps(json.loads(encode(a_message(id="1"))) | {"colour": "red"}).encode()

    assert "1" == decode(body).id


def test_older_message_has_the_defaults():
    """What an older release did not write is what a fresh message has."""
    assert Message(id="1", task="t", queue="q") == decode(b'{"id":"1","task":"t","queue":"q"}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"id":1,"task":"t","queue":"q"}',
        b'{"id":"\xff"}',
        pytest.param(b'{"id":"1","task":"t","queue":"q","args":' + b"[" * 10_000 + b"]" * 10_000 + b"}", id="deep"),
    ],
)
def test_what_is_no_message_is_refused(body: bytes):
    """Bytes from anywhere raise one error, which shows none of them: logs and reports have its text."""
    with pytest.raises(DecodeError, match=r"expected a taskbridge message, got [0-9]+ bytes"):
        decode(body)


def test_message_of_another_version_is_refused():
    """It would be misread; the error says which version it is and what to do."""
    body = encode(a_message(v=VERSION + 1))

    with pytest.raises(DecodeError, match=f"version {VERSION}, got version {VERSION + 1}; run a newer release"):
        decode(body)


def test_instants():
    """Expiry and age count from when it was first due, time in queue from when the relay last handed it over."""
    waited = a_message(enqueued_at_ms=10, due_at_ms=50, released_at_ms=70)

    assert (50, 70) == (waited.first_due_ms, waited.ready_at_ms)
    assert (10, 10) == (a_message(enqueued_at_ms=10).first_due_ms, a_message(enqueued_at_ms=10).ready_at_ms)


def test_copy_changes_only_what_is_named():
    """A copy is another value; the first stays."""
    message = a_message(seq=1)

    copy = message.copy(seq=2)

    assert (1, 2, message.id) == (message.seq, copy.seq, copy.id)


def test_ids_are_never_the_same():
    """An id is new, and short enough to be a key."""
    ids = {new_id() for _ in range(1_000)}

    assert 1_000 == len(ids)
    assert {32} == {len(id) for id in ids}


@given(texts, some.integers(0, 100), some.integers(0, 100))
def test_native_retry_is_another_message(engine_id: str, retries: int, others: int):
    """An engine retries under the same id: each count has a ledger id of its own, always the same, always short."""
    assert foreign_id(engine_id, retries) == foreign_id(engine_id, retries)
    assert (retries == others) == (foreign_id(engine_id, retries) == foreign_id(engine_id, others))
    assert MAX_ID_BYTES >= len(foreign_id(engine_id, retries).encode())


def test_long_native_id_is_hashed():
    """An id that is no fit key becomes one; two long ones stay two."""
    one, other = foreign_id("x" * 1_000, 0), foreign_id("x" * 1_001, 0)

    assert one.startswith("sha256-")
    assert one != other
    assert "x#0" == foreign_id("x", 0)
