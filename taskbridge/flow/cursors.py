"""Ranges that only a function knows: a key set, a stream, and whatever makes its own chunks.

The function is asked with the cursor that the last chunk left, ``None`` at first. A cursor travels as JSON and comes
back as the function's first parameter is annotated, as a task's arguments do.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

import msgspec

from ..chunking import Bounds
from ..codec import Arguments
from ..errors import ConfigError, CursorStuck
from ..message import NULL
from ..options import check_function
from .chunk import Chunk
from .intervals import ID_MAX
from .ranges import Range

T = TypeVar("T")

#: Keys of which Python knows the order that a database has; text and UUIDs are ordered in several ways.
_ORDERED = (int, Decimal, date)


class Cursors(Range[T]):
    """A range whose cursors are what a function says.

    Args:
        function: called with a cursor first.
        more: the names of what else it is called with, for the errors.
        start: the cursor of the first chunk, or a function without arguments that gives it when a run starts.

    Raises:
        ConfigError: the function takes other arguments, or its first one is annotated what JSON cannot carry.
    """

    def __init__(self, function: Callable[..., Any], more: tuple[str, ...], start: Any, *, may_yield: bool) -> None:
        check_function(self.kind, function, "cursor", *more, may_yield=may_yield)
        self._function = function
        self._arguments = Arguments(function, self.kind, part=slice(1))
        self._start = start
        if callable(start):
            check_function("start", start)
        else:
            self.open()

    def __repr__(self) -> str:
        return f"{self.kind}({self._function!r})"

    def open(self) -> Bounds:
        start = self._start() if callable(self._start) else self._start
        return Bounds(kind=self.kind, start=NULL if start is None else self._arguments.encode_one(start))

    def _chunk(self, bounds: Bounds, at: msgspec.Raw, size: int) -> Chunk[T] | None:
        cursor = None if at == NULL else self._arguments.decode_one(at)
        chunk = self._after(cursor, size)
        return None if chunk is None else chunk.carried(self._arguments.encode_one)

    def sized(self, size: object) -> int:
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= ID_MAX:
            raise ConfigError(f"size: expected how many items a chunk has, 1 or more; got {size!r}")
        return size

    @abstractmethod
    def _after(self, cursor: Any, size: int) -> Chunk[T] | None:
        """Return the chunk that starts at a cursor."""


class KeySet(Cursors[T]):
    """Keys in ascending order; see ``keyset``."""

    kind = "keyset"

    def _after(self, cursor: Any, size: int) -> Chunk[T] | None:
        keys = list(islice(_iterated(self._function(cursor, size), "keyset: its function"), size))
        if not keys:
            return None
        for before, key in zip([cursor, *keys], keys, strict=False):
            _refuse_disorder(before, key)
        return Chunk(keys, next=keys[-1], cursors=keys)


class Stream(Cursors[T]):
    """Items with the position after each; see ``stream``."""

    kind = "stream"

    def _after(self, cursor: Any, size: int) -> Chunk[T] | None:
        read = _iterated(self._function(cursor), "stream: its function")
        try:
            pairs = [_pair(one) for one in islice(read, size)]
        finally:
            if isinstance(read, Generator):  # it may hold a file
                read.close()
        if not pairs:
            return None
        positions = [position for position, _ in pairs]
        for before, position in zip([cursor, *positions], positions, strict=False):
            if before == position:
                raise CursorStuck(f"stream: expected another position after each item, got {position!r} twice")
        following = positions[-1] if len(pairs) == size else None
        return Chunk([item for _, item in pairs], next=following, cursors=positions)


class OwnChunks(Cursors[T]):
    """Chunks that a function makes; see ``cursor``."""

    kind = "cursor"

    def sized(self, size: object) -> int:
        if size is not None:
            raise ConfigError(f"size: a function of cursor() decides it by itself; leave it out, got {size!r}")
        return 0

    def _after(self, cursor: Any, size: int) -> Chunk[T] | None:
        chunk = self._function(cursor)
        if chunk is not None and not isinstance(chunk, Chunk):
            raise ConfigError(f"cursor: expected its function to return a Chunk or None, got {chunk!r}")
        return chunk


def keyset(fetch: Callable[[Any, int], Iterable[T]], *, after: Any = None) -> Range[T]:
    """Return the keys that a query finds, page by page: for ids that are sparse, or no numbers.

    ::

        def keys_after(after: UUID | None, limit: int) -> list[UUID]: ...   # WHERE id > after ORDER BY id LIMIT limit

        @chunked(over=keyset(keys_after), size=1_000)

    Args:
        fetch: called with the last key there was, ``None`` at first, and with the size of a chunk; gives the keys after
            it in ascending order. A page without keys is the end. Its first parameter's annotation says what a key is.
        after: the key after which the first chunk starts, or a function without arguments. Defaults to none.

    Raises:
        ConfigError: ``fetch`` does not take these, or its annotation is none that JSON carries.
    """
    return KeySet(fetch, ("limit",), after, may_yield=True)


def stream(read: Callable[[Any], Iterable[tuple[Any, T]]], *, start: Any = None) -> Range[T]:
    """Return the items of an iterable that can be taken up again: a file by offset, an API by page token.

    ::

        def rows(position: int | None) -> Iterator[tuple[int, str]]:
            with open("accounts.csv", "rb") as file:
                file.seek(position or 0)
                while line := file.readline():
                    yield file.tell(), line.decode()

        @chunked(over=stream(rows), size=1_000)

    Args:
        read: called with a position, ``None`` at first; gives each item with the position after it. When it ends, the
            run does. Its parameter's annotation says what a position is.
        start: the position of the first chunk, or a function without arguments. Defaults to none.

    Raises:
        ConfigError: ``read`` does not take a position, or its annotation is none that JSON carries.
    """
    return Stream(read, (), start, may_yield=True)


def cursor(next_chunk: Callable[[Any], Chunk[T] | None], *, start: Any = None) -> Range[T]:
    """Return the chunks that a function makes by itself; it decides their size.

    ::

        def next_page(token: str | None) -> Chunk[dict] | None:
            page = api.list(token)
            return Chunk(page.rows, next=page.next_token) if page.rows else None

        @chunked(over=cursor(next_page))

    Args:
        next_chunk: called with a cursor, ``None`` at first; gives the chunk that starts there, or ``None``: nothing is
            left. A chunk without ``next`` is the last. Its parameter's annotation says what a cursor is.
        start: the cursor of the first chunk, or a function without arguments. Defaults to none.

    Raises:
        ConfigError: ``next_chunk`` does not take a cursor, or its annotation is none that JSON carries.
    """
    return OwnChunks(next_chunk, (), start, may_yield=False)


def _iterated(given: Any, what: str) -> Any:
    try:
        return iter(given)
    except TypeError:
        raise ConfigError(f"{what}: expected an iterable, got {given!r}") from None


def _pair(one: Any) -> tuple[Any, Any]:
    if not isinstance(one, tuple) or len(one) != 2:
        raise ConfigError(f"stream: expected (the position after it, the item) for each item, got {one!r}")
    return one


def _refuse_disorder(before: Any, key: Any) -> None:
    """A key that is not after the last one would be met again, or others be left out."""
    if before is None:
        return
    ordered = isinstance(before, _ORDERED) and isinstance(key, _ORDERED)
    if before == key or (ordered and not before < key):
        raise CursorStuck(
            f"keyset: expected keys after the last one, in ascending order, got {key!r} after {before!r}: "
            f"its function wants WHERE id > after ORDER BY id LIMIT limit"
        )
