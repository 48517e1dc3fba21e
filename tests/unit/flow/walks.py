"""A run as workers make it, without store and engine: what it keeps between two chunks is JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import msgspec
from hypothesis import strategies as some

from taskbridge.chunking import Bounds, decode, encode
from taskbridge.flow.chunk import Chunk, advanced
from taskbridge.flow.ranges import Range
from taskbridge.testing import FakeClock


def walk(
    over: Range[Any], size: Any = None, *, bounds: Bounds | None = None, stopping: Callable[[], bool] | None = None
) -> Iterator[Chunk[Any]]:
    """Return chunk after chunk; each is to be iterated before the next is asked for.

    Args:
        over: the range as declared.
        size: as declared.
        bounds: of the run. Defaults to the declared ones.
        stopping: asked between two items, whether a chunk ends there. Defaults to never.
    """
    kept, number = encode(bounds or over.open()), 0
    at = decode(kept).cursor
    while at is not None:
        chunk = over.chunk(decode(kept), at, over.sized(size))
        if chunk is None:
            return
        handed = chunk.under(number=number, run="a run", clock=FakeClock(), stopping=stopping)
        yield handed
        after = advanced(at, handed.reached)
        at, number = after if after is None else msgspec.Raw(bytes(after)), number + 1


def ends() -> some.SearchStrategy[Callable[[], bool]]:
    """Return when a worker is asked to stop: never, after every item, or now and then."""
    now_and_then = some.frozensets(some.integers(0, 200))
    return some.one_of(now_and_then, some.just(range(10**9)), some.just(())).map(_after)


def _after(asked: Any) -> Callable[[], bool]:
    times = count()
    return lambda: next(times) in asked


def items(over: Range[Any], size: Any = None, *, stopping: Callable[[], bool] | None = None) -> list[Any]:
    """Return every item that a run of it was given, in order."""
    return [item for chunk in walk(over, size, stopping=stopping) for item in chunk]
