"""JSON values in an AMQP table."""

from __future__ import annotations

import json
from typing import Any

from amqp.serialization import dumps, loads
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.rabbitmq.table import SHORT, fitting, short

plain = some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text()
values = some.recursive(plain, lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner))


def fits(value: Any) -> bool:
    if isinstance(value, dict):
        return all(len(key.encode(errors="surrogatepass")) <= SHORT and fits(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(fits, value))
    return not isinstance(value, int) or -(2**63) <= value < 2**63


@given(values)
def test_every_json_value_has_a_form_that_travels(value: Any):
    """What a table can hold comes back equal; what it cannot comes back as its JSON, and breaks nothing."""
    packed = dumps("F", [{"header": fitting(value)}])

    ((table,), _) = loads("F", packed, 0)

    assert fitting(value) == table["header"]
    assert not fits(value) or value == table["header"]


def test_what_a_table_cannot_hold_is_its_json():
    """A larger integer than 64 bits, and a key of more than 255 bytes."""
    key = "k" * 256

    assert str(2**80) == fitting(2**80)
    assert {key: [1]} == json.loads(fitting({"a": {key: [1]}})["a"])
    assert {"a": [2**63 - 1, -(2**63)]} == fitting({"a": [2**63 - 1, -(2**63)]})


def test_a_property_is_left_out_rather_than_cut():
    """One of 255 bytes fits; a longer one would break the frame."""
    assert "i" * SHORT == short("i" * SHORT)
    assert (None, None) == (short("i" * (SHORT + 1)), short(""))
