"""The values of one call, found where they stand without their name."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge.shown.scrubbing import Scrubber
from taskbridge.shown.values import Values
from tests.servers import in_time


@pytest.mark.parametrize(
    ("value", "written", "shown"),
    [
        ("hunter2-hunter2", "['hunter2-hunter2']", "['[Filtered]']"),
        ("hunter2-hunter2", "xhunter2-hunter2x", "x[Filtered]x"),
        ("1234", "pin 1234, account 91234", "pin [Filtered], account 91234"),
        ("123", "123", "123"),
        ("a\nlong\tline", repr("a\nlong\tline"), "'[Filtered]'"),
        ("a\x1b[31mred", r"a\x1b[31mred", "[Filtered]"),
        ("k" * 500, f"'{'k' * 100}...'", "'[Filtered]'"),
        (".*+(", "of .*+( and abc", "of [Filtered] and abc"),
    ],
)
def test_a_value_is_hidden_as_it_was_written(value: str, written: str, shown: str):
    """As text, as ``repr`` has it, cut or not; a short one as a word of its own."""
    assert {"args": [shown, 7]} == Values([value]).hidden({"args": [written, 7]})


def test_what_is_secret_is_found_by_its_name():
    """Deep inside, in a pair, a number too; truth values and nothing say nothing."""
    call = {
        "n": 1,
        "pin": 1234,
        "more": {"token": ["a", {"b": "c"}]},
        "headers": [["Cookie", "d"]],
        "otp": [True, None],
    }

    assert ["1234", "a", "c", "d"] == list(Scrubber().secrets(call))


def test_many_long_values_take_no_long_time():
    """A report is written while a worker waits."""
    values = Values(f"{n}" * 1_000 for n in range(10_000))

    in_time(lambda: values.hidden(["12" * 1_000] * 100), 1)


def test_a_secret_is_found_however_deep_it_lies():
    """What JSON could carry, a page must be able to show."""
    deep: Any = {"pin": 1234}
    for _ in range(10_000):
        deep = [deep]

    assert ["1234"] == list(Scrubber().secrets({"a": deep}))
