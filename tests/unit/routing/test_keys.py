"""Keys of shares: the same whoever makes them, of arguments by position, by name or by default."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.codec import Arguments
from taskbridge.policies.key import key_of
from taskbridge.routing.keys import has_all, key_of_call, key_of_message


class Kind(Enum):
    CARD = "card"


class Level(IntEnum):
    HIGH = 2


def pay(user_id: int, amount: Decimal = Decimal("1.50"), *, kind: Kind = Kind.CARD) -> None: ...


#: What JSON cannot carry.
NOTHING = object()

PAY = Arguments(pay, "bank.pay")


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def made_there(template: str, args: list[Any], kwargs: dict[str, Any]) -> str | None:
    """As a relay makes it, which knows the task by its announcement."""
    return key_of_message(template, PAY.positional, raw(args), raw(kwargs))


@pytest.mark.parametrize(
    ("args", "kwargs"), [((7, Decimal("1.50")), {}), ((7,), {"kind": Kind.CARD}), ((), {"user_id": 7})]
)
def test_key_is_the_same_by_position_name_and_default(args: tuple[Any, ...], kwargs: dict[str, Any]):
    """As the values are, decoded, with defaults filled in."""
    template = "{user_id}/{amount}/{kind}"
    sent = PAY.encode(args, kwargs)

    assert '7/"1.50"/"card"' == key_of_call(template, PAY, *sent)
    assert '7/"1.50"/"card"' == key_of(template, {"user_id": 7, "amount": Decimal("1.50"), "kind": Kind.CARD})


@given(some.integers() | some.text() | some.booleans() | some.none() | some.uuids().map(str) | some.dates().map(str))
def test_who_does_not_know_the_task_makes_the_same_key(value: Any):
    """Of what it was called with, by name, and by position where that is known."""

    def plain(user: Any) -> None: ...

    here = key_of_call("{user}", Arguments(plain, "t"), raw([value]), raw({}))

    assert here == key_of_message("{user}", ["user"], raw([value]), raw({}))
    assert here == key_of_message("{user}", [], raw([]), raw({"user": value}))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 7),
        (str, "7:8"),
        (bool, True),
        (date, date(2026, 1, 1)),
        (datetime, datetime(2026, 1, 1, 12, tzinfo=UTC)),
        (Decimal, Decimal("1.50")),
        (UUID, UUID(int=7)),
        (Kind, Kind.CARD),
        (Level, Level.HIGH),
        (float, 1.5),
        (list[int], [1, 2]),
        (dict[str, int], {"b": 1, "a": 2}),
    ],
)
def test_types_make_the_same_key_there(annotation: Any, value: Any):
    """Of a value as it travels as of the value as it is annotated."""

    def typed(user: Any) -> None: ...

    typed.__annotations__["user"] = annotation
    arguments = Arguments(typed, "t")
    sent = arguments.encode((value,), {})

    assert key_of_call("{user}", arguments, *sent) == key_of_message("{user}", ["user"], *sent)


def test_instant_of_another_zone_is_another_key_there():
    """Only who knows the annotation knows that it is an instant: the law above has its end here."""

    def at(when: datetime) -> None: ...

    arguments = Arguments(at, "t")
    sent = arguments.encode((datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))),), {})

    assert '"2026-01-01T12\\u003a00\\u003a00Z"' == key_of_call("{when}", arguments, *sent)
    assert '"2026-01-01T12\\u003a00\\u003a00Z"' != key_of_message("{when}", ["when"], *sent)


@pytest.mark.parametrize(("args", "kwargs"), [([], {}), ([7], {}), ([], {"user_id": 7}), ([7], {"amount": "2"})])
def test_what_is_not_known_makes_no_key(args: list[Any], kwargs: dict[str, Any]):
    """An argument that was not passed, of which nobody here knows the default."""
    assert None is made_there("{user_id}/{kind}", args, kwargs)
    assert None is key_of_message("{user_id}", [], raw(args), raw({}))


def test_key_may_be_of_both():
    """Of an argument by position, and one by name."""
    assert '7/"card"' == made_there("{user_id}/{kind}", [7], {"kind": "card"})


def test_what_does_not_fit_makes_no_key():
    """It will not run either."""
    assert None is key_of_call("{user_id}", PAY, raw(["x"]), raw({}))
    assert None is key_of_call("{user_id}", PAY, raw([]), raw({}))
    assert None is key_of_call("{owner}", PAY, raw([7]), raw({}))
    assert None is key_of_message("{user_id}", ["user_id"], msgspec.Raw(b"{}"), msgspec.Raw(b"[]"))


def test_default_that_json_cannot_carry_makes_no_key():
    """A call that leaves it out is enqueued all the same."""

    def sentinel(user: Any = NOTHING) -> None: ...

    assert None is key_of_call("{user}", Arguments(sentinel, "t"), raw([]), raw({}))


def test_a_task_that_takes_any_argument_has_all():
    """Its key is of what was passed."""

    def anything(first: int, **more: Any) -> None: ...

    arguments = Arguments(anything, "t")

    assert has_all("{owner}", arguments)
    assert not has_all("{owner}", PAY)
    assert '7/"ann"' == key_of_call("{first}/{owner}", arguments, raw([7]), raw({"owner": "ann"}))
