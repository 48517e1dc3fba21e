"""What can be an argument of what: refused is what never can."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest

from taskbridge.flow.fitting import fits


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 1


class Told(TypedDict):
    a: int


@dataclass
class Point:
    a: int
    b: int = 0


@dataclass
class Named:
    a: str


@dataclass
class Tree:
    a: int
    below: Tree | None = None


class Struct(msgspec.Struct):
    a: int


class Pair(NamedTuple):
    a: int
    b: str


@pytest.mark.parametrize(
    ("gives", "takes"),
    [
        *(
            (one, one)
            for one in (int, float, str, bool, None, date, UUID, Colour, Size, Told, Point, Tree, Struct, Pair)
        ),
        *((one, one) for one in (list[int], dict[str, int], tuple[int, str], set[str], Literal["a"], Decimal, bytes)),
        *((Any, int), (int, Any), (None, Any), (int, msgspec.Raw)),
        *((int, float), (int, Decimal), (int, int | None), (int | None, int), (None, int | None), (str | int, int)),
        *((str, date), (date, str), (UUID, str), (str, Colour), (Colour, str), (Size, int), (Literal["red"], Colour)),
        *(
            (list[int], Sequence[float]),
            (list[int], set[int]),
            (list[int], tuple[int, int]),
            (tuple[int, int], list[int]),
        ),
        *((list[Any], list[int]), (list[int | None], list[int])),
        *(
            (Point, dict[str, Any]),
            (dict[str, Any], Point),
            (Point, Told),
            (Told, Point),
            (Struct, Point),
            (Tree, Point),
        ),
    ],
)
def test_what_may_fit_is_let_through(gives: Any, takes: Any) -> None:
    """The same, what JSON makes no difference of, and what is only known when it runs."""
    assert fits(gives, takes)


@pytest.mark.parametrize(
    ("gives", "takes"),
    [
        *((None, int), (None, str), (None, list[int]), (int, None)),
        *((int, str), (str, int), (float, int), (bool, int), (int, bool), (str, float), (str, list[str])),
        *((date, UUID), (datetime, date), (timedelta, Decimal), (bytes, UUID), (Size, str), (Colour, int)),
        *((int, list[int]), (list[int], int), (list[int], list[str]), (tuple[int, str], tuple[int, int])),
        *((tuple[int], tuple[int, int]), (tuple[int, str], list[int]), (list[int], dict[str, int])),
        *((dict[str, int], dict[str, str]), (Point, Named), (Named, Point), (Told, Named), (Point, int), (int, Point)),
        *((int | None, str), (str, int | None)),
    ],
)
def test_what_can_never_fit_is_refused(gives: Any, takes: Any) -> None:
    """JSON of one kind where another is expected; of a list or a record, in any of its parts."""
    assert not fits(gives, takes)
