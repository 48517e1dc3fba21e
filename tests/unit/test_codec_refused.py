"""Arguments that would not come back: refused where they are sent, or when the task is declared."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import example, given

from taskbridge.codec import Arguments, carried
from taskbridge.errors import ArgumentError, ConfigError, DecodeError

from .test_codec import NAIVE, Currency, Line, Money, taking, texts, there_and_back


@dataclass(frozen=True)
class Grown(Money):
    rate: Decimal = Decimal(1)


@pytest.mark.parametrize(
    ("annotation", "value", "why"),
    [
        (int, 1.0, "Expected `int`, got `float`"),
        (int, True, "Expected `int`, got `bool`"),
        (int, "7", "Expected `int`, got `str`"),
        (float, 2**60 + 1, "it would come back as a value of type float"),
        (float, Decimal("0.1"), "Expected `float`, got `str`"),
        (str, b"x", "it would come back as a value of type str"),
        (str, date(2026, 1, 1), "it would come back as a value of type str"),
        (str, Currency.EURO, "it would come back as a value of type str"),
        (date, "2026-01-01", "it would come back as a value of type date"),
        (date, datetime(2026, 1, 1, tzinfo=UTC), "Invalid RFC3339"),
        (datetime, "2026-01-01T00:00:00Z", "it would come back as a value of type datetime"),
        (datetime, datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=5430))), "it would come back as another one"),
        (uuid.UUID, "12345678-1234-1234-1234-123456789abc", "it would come back as a value of type UUID"),
        (Decimal, 1.1, "it would come back as a value of type Decimal"),
        (Decimal, 1.5, "it would come back as a value of type Decimal"),
        (list[Decimal], [1, 1.5], "it would come back as another one"),
        (Decimal, Decimal("NaN"), "it would come back as another one"),
        (Decimal, Decimal("sNaN"), ""),
        (Currency, "EUR", "it would come back as a value of type Currency"),
        (Currency, "GBP", "Invalid enum value$"),
        (Line, {"sku": "a", "price": Decimal(1), "typo": 2}, "it would come back as another one"),
        (Line, {"sku": "a"}, "missing required field `price`"),
        (Money, Grown(Decimal(1)), "it would come back as a value of type Money"),
        (dict[str, Any], {"day": date(2026, 1, 1)}, "it would come back as another one"),
        (dict, {1: "a"}, "it would come back as another one"),
        (list[int], [1, None], "Expected `int`, got `null`"),
    ],
)
def test_value_of_another_type_is_refused(annotation: Any, value: Any, why: str):
    """What would come back as something else is refused where it is sent: what was expected, what came, and why."""
    with pytest.raises(ArgumentError, match=rf"^bank\.task: argument 'value': expected .*, got .*{why}"):
        taking(annotation).encode((value,), {})


class Secret(msgspec.Struct):
    pin: Literal["none"] = "none"


HUSH = "hush - at `$.hush`"


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, HUSH),
        (date, HUSH),
        (Currency, HUSH),
        (Literal["a"], HUSH),
        (list[Currency], [HUSH]),
        (dict[str, Secret], {"a": {"pin": HUSH}}),
        (Decimal, [HUSH]),
        (str, HUSH.encode()),
        (Any, {HUSH}),
        (Any, {HUSH: {1}}),
        (str, "hush\udc00"),
    ],
)
def test_what_is_refused_is_not_shown(annotation: Any, value: Any):
    """It may be a secret, and whoever logs the error has its text."""
    with pytest.raises(ArgumentError) as caught:
        taking(annotation).encode((value,), {})

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("annotation", [int, date, Currency, Literal["a"], list[Currency], dict[str, Currency]])
def test_what_cannot_be_read_is_not_shown(annotation: Any):
    """Nor that, of another release or another producer."""
    sent = {list[Currency]: [HUSH], dict[str, Currency]: {"a": HUSH}}.get(annotation, HUSH)
    args = msgspec.Raw(msgspec.json.encode([sent]))
    with pytest.raises(DecodeError, match="argument 'value' does not fit: ") as caught:
        taking(annotation).decode(args, msgspec.Raw(b"{}"))

    assert "hush" not in str(caught.value)


class Naive(msgspec.Struct):
    at: datetime


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, NAIVE),
        (time, time(12)),
        (list[datetime], [NAIVE]),
        (Naive, Naive(NAIVE)),
        (dict[str, datetime | None], {"at": NAIVE}),
    ],
)
def test_time_without_a_zone_is_refused(annotation: Any, value: Any):
    """It would be another instant on another machine; the error says how to give it one."""
    with pytest.raises(ArgumentError, match=r"has no time zone; give it one, such as timezone.utc"):
        taking(annotation).encode((value,), {})


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": {"b": -math.inf}}])
def test_what_json_has_no_number_for_is_told_as_that(value: Any):
    """Also without an annotation, which would not help."""
    with pytest.raises(ArgumentError, match=r"JSON cannot carry -?(nan|inf)$"):
        carried(value, None, "", "argument 'x'")


@pytest.mark.parametrize("annotation", [Any, float, list, dict])
@pytest.mark.parametrize("value", [math.nan, math.inf, [math.nan], endless(), "\ud800", {"a": {"b": -math.inf}}])
def test_what_json_has_no_word_for_is_refused(annotation: Any, value: Any):
    """NaN, infinity, half a character and a list within itself are refused, annotated or not."""
    with pytest.raises(ArgumentError, match=r"^bank\.task: argument 'value'"):
        taking(annotation).encode((value,), {})


@pytest.mark.parametrize("value", [object(), date(2026, 1, 1), Decimal(1), b"x", {1: 2}, {1}, Currency.EURO, print])
def test_what_is_not_plain_needs_an_annotation(value: Any):
    """Without one it could not come back; the error says to annotate it."""
    with pytest.raises(ArgumentError, match="JSON carries only where it is annotated; annotate it, or pass text"):
        Arguments(lambda value: None, "bank.task").encode((value,), {})


class Account:
    """A model, say."""


@pytest.mark.parametrize(
    "annotation",
    [Account, Account | None, list[Account], dict[str, Account], Callable[[int], int], complex, type, str | date],
)
def test_annotation_json_cannot_carry_is_refused_when_declared(annotation: Any):
    """It is named with its parameter before anything is sent."""
    with pytest.raises(ConfigError, match=r"^bank\.task: parameter 'value' is annotated .*which JSON cannot carry"):
        taking(annotation)


def test_annotation_that_is_not_there_is_refused_when_declared():
    """A name that only type checkers import is named, with the way out."""

    def task(value: Elsewhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigError, match=r"name 'Elsewhere', .*import it outside of TYPE_CHECKING"):
        Arguments(task, "bank.task")


def signature(a: int, b: str = "b", /, c: int = 3, *, d: date = date(2026, 1, 1)) -> None: ...


def anything(a: int, /, *rest: date, **options: Decimal) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "why"),
    [
        (signature, (), {}, "missing a required argument: 'a'"),
        (signature, (1, "b", 3, 4), {}, "too many positional arguments"),
        (signature, (1, "b", 3), {"c": 4}, "multiple values for argument 'c'"),
        (signature, (1,), {"e": 5}, "unexpected keyword argument 'e'"),
        (signature, (), {"a": 1}, "positional.only"),  # Python words it as it likes
        (anything, (), {"a": Decimal(1)}, "positional.only|do not fit"),
    ],
)
def test_call_that_does_not_fit_is_refused(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], why: str):
    """Too many, too few or unknown arguments raise when sent, with the signature, as a call would."""
    with pytest.raises(ArgumentError, match=f"({why}).*; expected bank.task\\("):
        Arguments(function, "bank.task").encode(args, kwargs)


def test_star_parameters_carry_their_annotation():
    """``*rest`` and ``**options`` come back as annotated, an option called like a parameter included."""
    arguments = Arguments(anything, "bank.task")
    day = date(2026, 1, 1)

    args, kwargs = there_and_back(arguments, 1, day, day, a=Decimal("1.5"), options=Decimal(2))

    assert [1, day, day] == args
    assert {"a": Decimal("1.5"), "options": Decimal(2)} == kwargs
    with pytest.raises(ArgumentError, match=r"argument 'fee': expected decimal.Decimal, got a value of type float"):
        arguments.encode((1,), {"fee": 1.5})


def test_unknown_keywords_are_named_and_left_out():
    """A newer producer's argument is named; without it the rest decodes."""
    arguments = Arguments(signature, "bank.task")
    args, kwargs = msgspec.Raw(b"[1]"), msgspec.Raw(b'{"zeta":1,"c":2,"eta":{"x":1}}')

    assert ("eta", "zeta") == arguments.unknown(kwargs)
    assert ([1], {"c": 2}) == arguments.decode(args, kwargs, without=arguments.unknown(kwargs))
    assert () == Arguments(anything, "bank.task").unknown(kwargs)
    assert () == arguments.unknown(msgspec.Raw(b"{}"))


@pytest.mark.parametrize(("args", "kwargs"), [(b'["one"]', b"{}"), (b"[1]", b'{"d":"yesterday"}'), (b"[null]", b"{}")])
def test_foreign_value_of_another_type_is_no_message(args: bytes, kwargs: bytes):
    """What a native producer sent is checked too; the value is no part of the error, which logs and reports show."""
    with pytest.raises(DecodeError, match=r"^bank\.task: argument '[ad]' does not fit: ") as refused:
        Arguments(signature, "bank.task").decode(msgspec.Raw(args), msgspec.Raw(kwargs))
    assert not re.search("one|yesterday", str(refused.value))


def test_arguments_are_replaced_where_they_stand():
    """By name, whether they were sent by position or by keyword; the others stay as they are."""
    arguments = Arguments(lambda a, b=2, *, c=3: None, "bank.task")
    sent = msgspec.Raw(b'[1,{"x":  1.0}]'), msgspec.Raw(b'{"newer":7}')

    args, kwargs = arguments.replaced(*sent, {"a": 5, "c": 6})

    assert b'[5,{"x":  1.0}]' == bytes(args)
    assert ([5, {"x": 1.0}], {"newer": 7, "c": 6}) == arguments.decode(args, kwargs)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"typo": 1}, r"there is no argument 'typo'; expected bank.task\("), ({"d": 1}, "argument 'd': expected")],
)
def test_replacement_that_does_not_fit_is_refused(changes: dict[str, Any], why: str):
    """An argument the function does not have, or a value that would not come back, is never ignored."""
    with pytest.raises(ArgumentError, match=why):
        Arguments(signature, "bank.task").replaced(msgspec.Raw(b"[1]"), msgspec.Raw(b"{}"), changes)


@given(texts)
@example("x" * 10_000)
def test_an_error_shows_a_value_in_short(text: str):
    """However long a value is, the error stays readable."""
    with pytest.raises(ArgumentError) as refused:
        taking(int).encode((text,), {})

    assert 300 > len(str(refused.value))
