"""Properties are read as py-amqp reads them, whatever they are, and the usual ones without it."""

from __future__ import annotations

from typing import Any

import amqp
import pytest
from amqp.serialization import decode_properties_basic
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.rabbitmq import properties

short = some.text(max_size=60)
keys = some.text(max_size=60)
leaves = (
    some.none()
    | some.booleans()
    | some.integers(-(2**63), 2**63 - 1)
    | some.floats(allow_nan=False)
    | some.text(max_size=300)
)
values = some.recursive(
    leaves, lambda inner: some.lists(inner, max_size=4) | some.dictionaries(keys, inner, max_size=4)
)
usual = some.fixed_dictionaries(
    {},
    optional={
        "content_type": short,
        "content_encoding": short,
        "application_headers": some.dictionaries(keys, values, max_size=6),
        "delivery_mode": some.integers(1, 2),
        "priority": some.integers(0, 255),
        "correlation_id": short,
        "reply_to": short,
    },
)
unusual = some.fixed_dictionaries(
    {}, optional={"expiration": short, "message_id": short, "timestamp": some.integers(0, 2**40), "app_id": short}
)


def written(of: dict[str, Any]) -> bytes:
    """As py-amqp writes them."""
    found: bytes = amqp.Message(b"", **of)._serialize_properties()
    return found


def theirs(head: bytes, at: int) -> object:
    """What py-amqp reads, or that it cannot."""
    try:
        return dict(decode_properties_basic(head, at)[0])
    except Exception as error:  # what it trips over is its own
        return type(error)


def ours(head: bytes, at: int) -> object:
    try:
        return properties.read(head, at)
    except Exception as error:
        return type(error)


@given(usual=usual, before=some.binary(max_size=12))
def test_the_usual_ones_are_read_here(usual: dict[str, Any], before: bytes):
    """With what an engine's own messages have py-amqp has nothing to do."""
    head = before + written(usual)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(properties, "decode_properties_basic", None)
        read = properties.read(head, len(before))

    assert theirs(head, len(before)) == read


@given(usual=usual, unusual=unusual)
def test_unusual_ones_are_read_by_py_amqp(usual: dict[str, Any], unusual: dict[str, Any]):
    """Among them those of native producers of other kinds."""
    head = written(usual | unusual)

    assert theirs(head, 0) == ours(head, 0)


@given(usual=usual, chance=some.randoms(use_true_random=False))
def test_a_stranger_s_bytes_mean_what_they_mean_to_py_amqp(usual: dict[str, Any], chance: Any):
    """Cut short, longer, or with another byte somewhere; or nothing at all."""
    head = bytearray(written(usual))
    for _ in range(chance.randrange(3)):
        head[chance.randrange(len(head))] = chance.randrange(256)
    strange = bytes(head[: chance.randrange(len(head) + 1)] if chance.randrange(2) else head + b"\x00\x01")

    assert repr(theirs(strange, 0)) == repr(ours(strange, 0))
