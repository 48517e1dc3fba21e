"""Arguments: what comes back as it was sent, and what is refused because it would not."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import NoneType
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.codec import Arguments


class Currency(enum.Enum):
    DOLLAR = "USD"
    EURO = "EUR"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Line(TypedDict):
    sku: str
    price: Decimal
    note: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: Currency = Currency.DOLLAR


@dataclass
class Order:
    id: uuid.UUID
    at: datetime
    total: Money
    lines: list[Line]
    levels: dict[str, Level] = field(default_factory=dict)
    parent: Order | None = None


class Struct(msgspec.Struct):
    day: date


texts = some.text(some.characters(exclude_categories=["Cs"]))
whole = some.integers(-(2**80), 2**80)
decimals = some.decimals(allow_nan=False)
#: Without a zone.
NAIVE, LATEST = (datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (2, 9998))

#: Offsets of whole minutes: JSON's instants have no finer ones.
zones = some.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = some.datetimes(NAIVE, LATEST, timezones=zones | some.just(UTC))
money = some.builds(Money, decimals, some.sampled_from(Currency))
lines = some.fixed_dictionaries({"sku": texts, "price": decimals}, optional={"note": texts})
orders = some.recursive(
    some.none(),
    lambda parent: some.builds(
        Order,
        some.uuids(),
        instants,
        money,
        some.lists(lines, max_size=2),
        some.dictionaries(texts, some.sampled_from(Level), max_size=2),
        parent,
    ),
    max_leaves=3,
)

#: An annotation and the values it must carry.
CARRIED: list[tuple[Any, some.SearchStrategy[Any]]] = [
    (int, whole),
    (float, some.floats(allow_nan=False, allow_infinity=False)),
    (bool, some.booleans()),
    (str, texts),
    (bytes, some.binary()),
    (NoneType, some.none()),
    (Decimal, decimals),
    (date, some.dates()),
    (datetime, instants),
    (time, some.times(timezones=zones)),
    (timedelta, some.timedeltas()),
    (uuid.UUID, some.uuids()),
    (Currency, some.sampled_from(Currency)),
    (Level, some.sampled_from(Level)),
    (Literal["a", 1], some.sampled_from(["a", 1])),
    (Money, money),
    (Line, lines),
    (Point, some.builds(Point, whole, whole)),
    (Struct, some.builds(Struct, some.dates())),
    (Order | None, orders),
    (int | str | None, whole | texts | some.none()),
    (list[date], some.lists(some.dates())),
    (tuple[int, str], some.tuples(whole, texts)),
    (set[uuid.UUID], some.sets(some.uuids())),
    (dict[str, list[Money]], some.dictionaries(texts, some.lists(money, max_size=2), max_size=3)),
    (dict[date, Decimal], some.dictionaries(some.dates(), decimals)),
    (Mapping[str, Sequence[int]], some.dictionaries(texts, some.lists(whole))),
]


def taking(annotation: Any) -> Arguments:
    """The arguments of a task with one parameter, ``value``."""

    def task(value: Any) -> None: ...

    task.__annotations__ = {"value": annotation}
    return Arguments(task, "bank.task")


def there_and_back(arguments: Arguments, *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    return arguments.decode(*arguments.encode(args, kwargs))


def named(pair: Any) -> str:
    return str(getattr(pair, "__name__", pair)) if not isinstance(pair, some.SearchStrategy) else ""


@pytest.mark.parametrize(("annotation", "values"), CARRIED, ids=named)
def test_what_is_annotated_comes_back(annotation: Any, values: some.SearchStrategy[Any]):
    """Every value of an annotated type comes back equal, and of its type, by position and by keyword."""
    arguments = taking(annotation)

    @given(values)
    def law(value: Any) -> None:
        ((by_position,), _) = there_and_back(arguments, value)
        (_, by_keyword) = there_and_back(arguments, value=value)

        assert value == by_position
        assert type(value) is type(by_position)
        assert {"value": value} == by_keyword

    law()


whole_64 = some.integers(-(2**63), 2**64 - 1)
floats = some.floats(allow_nan=False, allow_infinity=False)
plain = some.recursive(
    some.one_of(some.none(), some.booleans(), texts, whole_64, floats),
    lambda inner: some.lists(inner) | some.dictionaries(texts, inner),
    max_leaves=10,
)


@given(plain)
def test_plain_values_need_no_annotation(value: Any):
    """Text, numbers, lists and dicts with text keys come back without one."""
    arguments = Arguments(lambda value: None, "bank.task")

    ((back,), _) = there_and_back(arguments, value)

    assert value == back


@dataclass(eq=False)
class Uncompared:
    at: datetime


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(float, 1), (Decimal, 1), (list[Decimal], [1, Decimal("1.5")]), (list[float], [1, 1.5]), (Level, 1), (str, "")],
)
def test_numbers_that_lose_nothing_are_taken(annotation: Any, value: Any):
    """A whole number is a fit float or Decimal: it comes back equal."""
    ((back,), _) = there_and_back(taking(annotation), value)

    assert value == back


def test_class_without_equality_is_compared_by_its_fields():
    """A dataclass or struct that does not compare is carried all the same."""
    value = Uncompared(datetime(2026, 1, 1, tzinfo=UTC))

    ((back,), _) = there_and_back(taking(Uncompared), value)

    assert value.at == back.at


@given(some.tuples(whole, whole))
def test_a_tuple_may_come_back_as_a_list(pair: tuple[int, int]):
    """JSON has one kind of list; where the annotation says tuple it is one again."""
    ((unannotated,), _) = there_and_back(Arguments(lambda value: None, "bank.task"), pair[:1])
    ((as_list,), _) = there_and_back(taking(list[int]), pair)
    ((as_tuple,), _) = there_and_back(taking(tuple[int, int]), pair)

    assert list(pair[:1]) == unannotated
    assert list(pair) == as_list
    assert pair == as_tuple


@pytest.mark.parametrize("fold", [0, 1])
def test_the_hour_that_comes_twice_comes_back(fold: int):
    """When clocks are set back an hour comes twice; each of the two is its own instant, sent and received."""
    twice = datetime(2026, 11, 1, 1, 30, tzinfo=ZoneInfo("America/New_York"), fold=fold)

    ((back,), _) = there_and_back(taking(datetime), twice)

    assert twice.timestamp() == back.timestamp()
