"""Items of a chunk that are made when they are asked for, and those of one that has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, overload

from ..errors import ConfigError

T = TypeVar("T")


class Items(Sequence[T]):
    """Values made of whole numbers when they are asked for, so that a chunk of any size is small."""

    __slots__ = ("_make", "_numbers")

    def __init__(self, numbers: range, make: Callable[[int], T]) -> None:
        self._numbers = numbers
        self._make = make

    @overload
    def __getitem__(self, at: int, /) -> T: ...
    @overload
    def __getitem__(self, at: slice, /) -> Items[T]: ...
    def __getitem__(self, at: int | slice, /) -> T | Items[T]:
        if isinstance(at, slice):
            return Items(self._numbers[at], self._make)
        return self._make(self._numbers[at])

    def __len__(self) -> int:
        return len(self._numbers)


class NoItems(Sequence[T]):
    """What a span of time without a step is made of: nothing that could be counted."""

    __slots__ = ()

    @overload
    def __getitem__(self, at: int, /) -> T: ...
    @overload
    def __getitem__(self, at: slice, /) -> Sequence[T]: ...
    def __getitem__(self, at: int | slice, /) -> T | Sequence[T]:
        raise self._refusal()

    def __len__(self) -> int:
        raise self._refusal()

    def _refusal(self) -> ConfigError:
        return ConfigError("this chunk has a start and a stop and no items: say times(..., step=...) to iterate")
