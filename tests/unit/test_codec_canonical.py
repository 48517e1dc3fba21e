"""One JSON for the same call: what ids of messages are made of that a repeated chunk sends again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from taskbridge.codec import Arguments


@dataclass
class Order:
    tags: set[str]
    lines: list[int]


def pay(user: int, tags: set[str], order: Order, table: dict[int, frozenset[int]], *more: set[int], **rest: Any): ...


def alone(order: Order, /) -> None: ...


def canonical(args: str = "[]", kwargs: str = "{}", function: Any = pay) -> bytes:
    """Of a call as it travels."""
    return Arguments(function, "pay").canonical(msgspec.Raw(args.encode()), msgspec.Raw(kwargs.encode()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (('[1,["a","b"]]',), ('[1,["b","a"]]',)),
        (("[]", '{"tags":["a","b"]}'), ("[]", '{"tags":["b","a"]}')),
        (("[]", '{"tags":["a","b"],"user":1}'), ('[1,["b","a"]]', "{}")),
        (("[]", '{"order":{"tags":["a","b"],"lines":[2,1]}}'), ("[]", '{"order":{"lines":[2,1],"tags":["b","a"]}}')),
        (("[]", '{"table":{"1":[1,2],"2":[]}}'), ("[]", '{"table":{"2":[],"1":[2,1]}}')),
        (('[1,[],{"tags":[],"lines":[]},{},[1,2]]',), ('[1,[],{"tags":[],"lines":[]},{},[2,1]]',)),
        (("[]", '{"any":{"a":1,"b":2}}'), ("[]", '{"any":{"b":2,"a":1}}')),
        (('[{"tags":["a","b"],"lines":[]}]', "{}", alone), ('[{"tags":["b","a"],"lines":[]}]', "{}", alone)),
    ],
)
def test_the_same_call_is_one(one: tuple[Any, ...], other: tuple[Any, ...]):
    """In whichever order a process has a set or an object's names, at any depth, by position or by name."""
    assert canonical(*one) == canonical(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("[]", '{"order":{"tags":[],"lines":[1,2]}}'), ("[]", '{"order":{"tags":[],"lines":[2,1]}}')),
        (("[]", '{"any":[1,2]}'), ("[]", '{"any":[2,1]}')),
        (("[]", '{"tags":["a"]}'), ("[]", '{"tags":["b"]}')),
        (("[1]",), ("[2]",)),
    ],
)
def test_other_calls_are_others(one: tuple[Any, ...], other: tuple[Any, ...]):
    """A list has an order of its own."""
    assert canonical(*one) != canonical(*other)
