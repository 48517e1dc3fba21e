"""Arguments of which only some travel: those after a chunk, and a cursor by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial, wraps
from typing import Any

import msgspec
import pytest

from taskbridge.codec import Arguments
from taskbridge.errors import ArgumentError, DecodeError


class Connection:
    """What JSON cannot carry."""


class Reader:
    """A method, and an object that can be called."""

    def after(self, day: date) -> None: ...
    def __call__(self, day: date) -> None: ...


def read(connection: Connection, day: date) -> None: ...


@wraps(read)
def wrapped(*args: Any) -> None: ...


def test_what_is_given_where_it_runs_is_left_out():
    """Nobody is asked for it, and its type may be any."""

    def function(chunk: Connection, kind: str, *, copies: int = 1) -> None: ...

    arguments = Arguments(function, "task", part=slice(1, None))

    assert (["kind", "copies"], ["kind", "copies"]) == (arguments.names, list(arguments.signature.parameters))
    assert (["x"], {"copies": 2}) == arguments.decode(*arguments.encode(("x",), {"copies": 2}))
    with pytest.raises(ArgumentError, match="argument 'kind': expected str, got a value of type int"):
        arguments.encode((5,), {})


@pytest.mark.parametrize("function", [partial(read, Connection()), Reader().after, Reader(), partial(Reader())])
def test_one_value_travels_as_annotated(function: Callable[..., Any]):
    """As the first parameter of a method, of a partial, of an object that can be called."""
    arguments = Arguments(function, "read", part=slice(1))

    sent = arguments.encode_one(date(2024, 2, 29))

    assert (b'"2024-02-29"', date(2024, 2, 29)) == (bytes(sent), arguments.decode_one(sent))
    with pytest.raises(ArgumentError, match=r"read: argument 'day': expected datetime\.date, got a value of type int"):
        arguments.encode_one(5)
    with pytest.raises(DecodeError, match="read: argument 'day' does not fit: "):
        arguments.decode_one(msgspec.Raw(b"5"))


def test_one_value_of_any_kind_travels_as_it_is():
    """Where nothing is annotated, and where a function takes any number."""
    for function in (lambda at: None, lambda *any_: None):
        arguments = Arguments(function, "read", part=slice(1))
        assert {"a": [1]} == arguments.decode_one(arguments.encode_one({"a": [1]}))
        with pytest.raises(ArgumentError, match="annotate it"):
            arguments.encode_one(date(2024, 2, 29))


def test_a_wrapped_function_keeps_its_annotations():
    """What decorators leave behind is what it was declared with."""
    arguments = Arguments(wrapped, "read", part=slice(1, None))

    assert [date(2024, 2, 29)] == arguments.decode(*arguments.encode((date(2024, 2, 29),), {}))[0]
