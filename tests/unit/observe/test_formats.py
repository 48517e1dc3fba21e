"""How an entry looks: whatever a record holds it is one entry, true to what was said, and says whose it is."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from taskbridge.current import Current, running
from taskbridge.observe.logs import JsonFormatter, PlainFormatter, TaskFilter

ME = Current(
    id="5f2b", task="bank.book", queue="ledger", attempt=2, starts=2, fencing_token=1, enqueued_at_ms=0, first_due_ms=0
)

PLAIN = logging.Formatter("%(message_id)s %(task)s %(attempt)d %(message)s")


def a_record(message: object = "booked", *args: object, error: BaseException | None = None, **extra: Any) -> Any:
    logger = logging.getLogger("bank.ledger")
    info = (type(error), error, error.__traceback__) if error else None
    return logger.makeRecord(logger.name, logging.INFO, "bank.py", 7, message, args, info, extra=extra)


def raised(error: Exception) -> Exception:
    """The error as it comes out of a task, with a traceback."""
    try:
        raise error
    except Exception as caught:
        return caught


def in_json(record: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(record)
    assert line.isprintable(), "an entry is one line, and steers no terminal"
    read: dict[str, Any] = json.loads(line)
    return read


def test_json_is_one_object_of_named_fields():
    """The time is UTC, whatever the machine's zone; what a record was given as extra is there by its name."""
    record = a_record("booked %d of %s", 7, "account", account=7, amount=Decimal("0.10"))

    fields = in_json(record)

    assert {
        "time": datetime.fromtimestamp(int(record.created * 1000) / 1000, UTC),
        "level": "INFO",
        "logger": "bank.ledger",
        "process": record.process,
        "message": "booked 7 of account",
        "account": 7,
        "amount": "0.10",
    } == {**fields, "time": datetime.fromisoformat(fields["time"])}
    assert fields["time"].endswith("Z")


def test_an_entry_of_a_task_says_whose_it_is():
    """In both forms, and in a format of the user's own by the filter; outside of tasks nothing is said."""
    with running(ME):
        plain, fields = PlainFormatter().format(a_record()), in_json(a_record())
        own = a_record()
        assert TaskFilter().filter(own)
    outside = a_record()
    assert TaskFilter().filter(outside)

    assert plain.endswith(" INFO    bank.ledger: bank.book (5f2b, attempt 2): booked")
    assert ("5f2b", "bank.book", 2) == (fields["message_id"], fields["task"], fields["attempt"])
    assert "5f2b bank.book 2 booked" == PLAIN.format(own)
    assert "  0 booked" == PLAIN.format(outside)
    assert PlainFormatter().format(a_record()).endswith(" INFO    bank.ledger: booked")
    assert not {"message_id", "task", "attempt"} & in_json(a_record()).keys()


def test_what_a_record_says_itself_stays():
    """A field of the user's own is not overwritten, and one that is called as one of ours gets another name."""
    with running(ME):
        fields = in_json(a_record(task="mine", level="high", time=7))

    assert ("mine", "5f2b", "INFO") == (fields["task"], fields["message_id"], fields["level"])
    assert ("high", 7) == (fields["level_"], fields["time_"])


def test_a_traceback_is_a_field_or_stands_indented_below():
    """An entry begins where a line is not indented; nothing that was logged looks like another entry."""
    record = a_record("no\n2026-01-01 00:00:00,000 1 ERROR bank: forged", error=raised(ValueError("no route")))

    first, *below = PlainFormatter().format(record).splitlines()
    fields = in_json(record)

    assert first.endswith(" INFO    bank.ledger: no")
    assert ["  2026-01-01 00:00:00,000 1 ERROR bank: forged", "  Traceback (most recent call last):"] == below[:2]
    assert "  ValueError: no route" == below[-1]
    assert all(line.startswith("  ") for line in below)
    assert "no\n2026-01-01 00:00:00,000 1 ERROR bank: forged" == fields["message"]
    assert fields["exception"].startswith("Traceback (most recent call last):\n")
    assert fields["exception"].endswith("\nValueError: no route")


def test_a_log_shows_no_password_of_a_url():
    """Neither in what is said, nor in a field or its name, nor in a traceback."""
    url = "redis://bank:hush@host:6379/0"
    record = a_record(f"away: {url}", url=url, more={"of": [url], url: 7}, error=raised(OSError(url)))

    assert "hush" not in PlainFormatter().format(record)
    assert "hush" not in JsonFormatter().format(record)
    assert 5 == JsonFormatter().format(record).count("redis://bank:***@host:6379/0")


class Unspeakable:
    """Has no words for itself, and no truth value."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")

    def __bool__(self) -> bool:
        raise RuntimeError("neither")


@dataclass
class Money:
    amount: Decimal


def a_loop() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Unspeakable, "<Unspeakable that cannot be shown>"),
        (lambda: [1, Unspeakable()], [1, "<Unspeakable that cannot be shown>"]),
        (lambda: float("nan"), None),
        (lambda: 2**80, 2**80),
        (lambda: {(1, 2): 3, None: 4}, {"(1, 2)": 3, "None": 4}),
        (lambda: "\ud800", "\\ud800"),
        (lambda: {"deep": ["\ud800"]}, "{'deep': ['\\ud800']}"),
        (lambda: Money(Decimal("1.00")), {"amount": "1.00"}),
        (lambda: int, "<class 'int'>"),
        (lambda: "\x1b[2J\x9b\u2028\u202e\x00\U000e0001", "\x1b[2J\x9b\u2028\u202e\x00\U000e0001"),
        (lambda: "Zażółć 口座 💸", "Zażółć 口座 💸"),
    ],
)  # fmt: skip
def test_no_value_breaks_an_entry(value: Callable[[], Any], shown: object):
    """It is shown as well as it can be, and what stands beside it as ever."""
    fields = in_json(a_record(odd=value(), account=7))

    assert (shown, 7, "booked") == (fields["odd"], fields["account"], fields["message"])


def test_a_value_in_itself_breaks_no_entry():
    """A list that contains itself has no JSON."""
    assert "[[...]]" == in_json(a_record(odd=a_loop()))["odd"]


@pytest.mark.parametrize(
    ("message", "args", "said"),
    [
        ("%d booked", ("seven",), "%d booked with ('seven',)"),
        ("%s and %s", ("one",), "%s and %s with ('one',)"),
        ("%s", (Unspeakable(),), "%s with <tuple that cannot be shown>"),
        (Unspeakable(), (), "<Unspeakable that cannot be shown> with ()"),
    ],
)
def test_a_message_that_cannot_be_made_is_an_entry(message: object, args: tuple[object, ...], said: str):
    """What was to be said, and with what: the entry is worth more than its form."""
    assert said == in_json(a_record(message, *args))["message"]
    assert PlainFormatter().format(a_record(message, *args)).endswith(f": {said}")


TEXTS = strategies.text(strategies.characters())  # lone surrogates and controls included
VALUES = strategies.recursive(
    TEXTS
    | strategies.integers()
    | strategies.floats()
    | strategies.binary()
    | strategies.none()
    | strategies.booleans(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(TEXTS | strategies.integers(), inner),
)


@hypothesis.given(TEXTS, TEXTS, VALUES)
def test_whatever_is_logged_is_one_entry(message: str, name: str, value: Any):
    """JSON: one line that is one object. Plain: one line, and what is below it is indented."""
    hypothesis.assume(name not in {*vars(logging.makeLogRecord({})), "message", "asctime"})
    record = a_record(message.replace("%", "%%"), **{name: value})

    in_json(record)
    _, *below = PlainFormatter().format(record).split("\n")

    assert all(line.startswith("  ") for line in below)


def test_a_stack_is_told():
    """What ``stack_info=True`` asks for."""
    record = a_record()
    record.stack_info = "Stack (most recent call last):\n  File here"

    assert "Stack (most recent call last):\n  File here" == in_json(record)["stack"]
    assert PlainFormatter().format(record).endswith("booked\n  Stack (most recent call last):\n    File here")


def test_no_exception_is_no_traceback():
    """``exc_info=True`` outside of an ``except`` block."""
    record = a_record()
    record.exc_info = sys.exc_info()

    assert "exception" not in in_json(record)
