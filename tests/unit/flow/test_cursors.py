"""Ranges that only a function knows: each key, item and chunk once, and a cursor that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge import Chunk, cursor, keyset, stream
from taskbridge.errors import ArgumentError, ConfigError, CursorStuck, DecodeError
from taskbridge.flow.ranges import Range

from .walks import ends, items, walk

Stopping = Callable[[], bool]


def table(keys: list[Any], asked: list[Any] | None = None) -> Callable[[Any, int], list[Any]]:
    """Return what ``WHERE key > after ORDER BY key LIMIT limit`` gives."""

    def fetch(after: Any, limit: int) -> list[Any]:
        if asked is not None:
            asked.append((after, limit))
        return sorted(key for key in keys if after is None or key > after)[:limit]

    return fetch


@given(some.sets(some.integers(-(2**63), 2**63 - 1), max_size=60), some.integers(1, 70), ends())
def test_every_sparse_key_is_in_one_chunk(keys: set[int], size: int, stopping: Stopping):
    """In order and once, wherever a chunk is ended."""
    assert sorted(keys) == items(keyset(table(list(keys))), size, stopping=stopping)


@given(some.sets(some.uuids(), max_size=40), some.integers(1, 50), ends())
def test_keys_come_back_as_annotated(keys: set[UUID], size: int, stopping: Stopping):
    """A UUID is one when the function is asked to go on, though it has travelled as JSON."""

    def fetch(after: UUID | None, limit: int) -> list[UUID]:
        assert after is None or isinstance(after, UUID)
        return table(list(keys))(after, limit)

    assert sorted(keys) == items(keyset(fetch), size, stopping=stopping)


def test_no_empty_windows_are_walked():
    """Ids with gaps of millions take as many questions as there are chunks, and one that finds the end."""
    asked: list[Any] = []
    keys = [10**6 * n for n in range(1, 2_501)]

    chunks = list(walk(keyset(table(keys, asked)), 1_000))

    assert [1_000, 1_000, 500] == [len(chunk) for chunk in chunks]
    assert [(None, 1_000), (10**9, 1_000), (2 * 10**9, 1_000), (2_500 * 10**6, 1_000)] == asked
    assert (None, None, b"1000000000") == (chunks[0].start, chunks[0].stop, bytes(chunks[0].next or b""))


def test_a_short_page_is_not_the_end():
    """A function that leaves keys out after its LIMIT gives short pages; only one without keys is the end."""

    def odd(after: int | None, limit: int) -> list[int]:
        page = range((after or 0) + 1, min((after or 0) + 1 + limit, 21))
        return [key for key in page if key % 2]

    assert list(range(1, 20, 2)) == items(keyset(odd), 4)


def test_a_page_is_no_longer_than_the_size():
    """A function that gives all there is costs no memory: no more than a chunk of it is taken."""

    def every(after: int | None, limit: int) -> Iterator[int]:
        yield from count((after or 0) + 1)

    chunk = next(iter(walk(keyset(every), 1_000)))

    assert (1_000, b"1000") == (len(chunk), bytes(chunk.next or b""))


def test_a_key_set_starts_after_a_key():
    """A value, or a function that is asked when a run starts; a function without keys has nothing to run."""
    last = [6]

    assert [5, 8] == items(keyset(table([2, 4, 5, 8]), after=4), 10)
    assert [8] == items(keyset(table([2, 4, 5, 8]), after=lambda: last[0]), 10)
    assert [] == list(walk(keyset(table([])), 10))


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        ([[1, 2, 3], [3]], "got 3 after 3"),
        ([[1, 2, 3], [2, 3, 4]], "got 2 after 3"),
        ([[1, 3, 2]], "got 2 after 3"),
        ([["b", "b"]], "got 'b' after 'b'"),
        ([[Decimal("1.5"), Decimal("1.50")]], "got Decimal"),
    ],
)
def test_keys_that_do_not_ascend_are_refused(pages: list[Any], told: str):
    """They would be met again and again, or others left out; the error has the query."""
    rest = iter(pages)

    def fetch(after: Any, limit: int) -> Any:
        return next(rest)

    with pytest.raises(CursorStuck, match=rf"^keyset: .*{told}.*WHERE id > after ORDER BY id LIMIT limit"):
        list(walk(keyset(fetch), 3))


def test_the_order_of_text_is_the_database_own():
    """Its collation is not Python's; only a key that is met twice in a row is refused."""
    assert ["a", "B", "c"] == items(keyset(lambda after, limit: [] if after else ["a", "B", "c"]), 3)


def test_keys_without_an_annotation_are_plain_json():
    """A key that would come back as text is refused when it would be sent, with what to do."""
    key = UUID(int=7)

    with pytest.raises(ArgumentError, match=r"keyset: argument 'after' is a value of type UUID.*annotate it"):
        list(walk(keyset(lambda after, limit: [key]), 1))


def lines(path: Path, position: int | None) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        file.seek(position or 0)
        while line := file.readline():
            yield file.tell(), line.decode().rstrip("\n")


@given(some.integers(0, 40), some.integers(1, 50), ends())
def test_a_file_is_read_on_where_it_was_left(tmp_path_factory: Any, length: int, size: int, stopping: Stopping):
    """Every line once, by its offset, wherever a chunk is ended; the file is closed after each chunk."""
    path = tmp_path_factory.mktemp("lines") / "accounts.csv"
    path.write_text("".join(f"account {n * n}\n" for n in range(length)))

    assert [f"account {n * n}" for n in range(length)] == items(stream(partial(lines, path)), size, stopping=stopping)


def test_a_stream_is_closed_after_each_chunk():
    """A generator may hold a connection; it is ended where it stands, also when what it gives is refused."""
    closed = []

    def read(position: int | None) -> Iterator[Any]:
        try:
            for n in count((position or 0) + 1):
                yield n, n
        finally:
            closed.append(position)

    chunks = walk(stream(read), 3)

    assert [[1, 2, 3], [4, 5, 6]] == [list(next(chunks)), list(next(chunks))]
    assert [None, 3] == closed


def test_a_stream_that_ends_within_a_chunk_is_over():
    """It is not asked again; one that ends with its chunk is, and has nothing."""
    asked = []

    def read(position: int | None) -> list[tuple[int, str]]:
        asked.append(position)
        return [(n, f"item {n}") for n in range((position or 0) + 1, 7)]

    assert [4, 2] == [len(chunk) for chunk in walk(stream(read), 4)]
    assert [3, 3] == [len(chunk) for chunk in walk(stream(read), 3)]
    assert [None, 4, None, 3, 6] == asked
    assert ["item 6"] == items(stream(read, start=5), 3)


@pytest.mark.parametrize(
    ("read", "error", "told"),
    [
        (lambda position: [(1, "a"), (1, "b")], CursorStuck, "another position after each item, got 1 twice"),
        (lambda position: [(7, "a")], CursorStuck, "another position after each item, got 7 twice"),
        (lambda position: ["ab"], ConfigError, r"stream: expected \(the position after it, the item\).*got 'ab'"),
        (lambda position: [[1, "a"]], ConfigError, r"stream: expected \(the position after it, the item\)"),
        (lambda position: 5, ConfigError, "stream: its function: expected an iterable, got 5"),
    ],
)
def test_a_stream_that_does_not_go_on_is_refused(read: Any, error: type[Exception], told: str):
    """Before any of its items is worked on."""
    with pytest.raises(error, match=told):
        list(walk(stream(read, start=7), 2))


def pages(token: str | None) -> Chunk[int] | None:
    """An API with three pages, of which the second is empty."""
    found = {
        None: Chunk([1, 2, 3], next="b"),
        "b": Chunk[int](next="c"),
        "c": Chunk([4], next=None, start=4, stop=5),
    }
    return found[token]


def test_a_function_makes_its_own_chunks():
    """With its own sizes and bounds, until one has no next or there is none."""
    chunks = list(walk(cursor(pages)))

    assert [[1, 2, 3], [], [4]] == [list(chunk) for chunk in chunks]
    assert [b'"b"', b'"c"', None] == [chunk.next and bytes(chunk.next) for chunk in chunks]
    assert [(0, None), (1, None), (2, 4)] == [(chunk.number, chunk.start) for chunk in chunks]
    assert [[4]] == [list(chunk) for chunk in walk(cursor(pages, start="c"))]
    assert [] == list(walk(cursor(lambda token: None)))


@given(some.integers(1, 40), some.integers(1, 9), ends())
def test_own_chunks_with_cursors_go_on_inside(length: int, size: int, stopping: Stopping):
    """Where a chunk says which cursor comes after each item, it may end there; each item is still given once."""

    def after(at: int | None) -> Chunk[int] | None:
        found = list(range(at or 0, min((at or 0) + size, length)))
        following = (at or 0) + size
        return Chunk(found, cursors=[n + 1 for n in found], next=following if following < length else None)

    assert list(range(length)) == items(cursor(after), stopping=stopping)


def test_own_chunks_without_cursors_are_one_piece():
    """Nothing says where the next would begin, so a worker that is asked to stop ends them whole."""
    assert [1, 2, 3, 4] == items(cursor(pages), stopping=lambda: True)


def test_a_cursor_is_as_annotated():
    """An instant is one again when the next chunk is asked for."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    asked = []

    def after(at: datetime | None) -> Chunk[int]:
        asked.append(at)
        return Chunk([1], next=noon if at is None else None)

    assert [1, 1] == items(cursor(after))
    assert [None, noon] == asked
    with pytest.raises(DecodeError, match="cursor: argument 'at' does not fit: "):
        cursor(after).chunk(cursor(after).open(), msgspec.Raw(b'"noon"'), 0)


def test_a_cursor_that_does_not_advance_is_refused():
    """The next chunk would be the same one, for ever; also where the JSON is written otherwise."""
    over = cursor(lambda at: Chunk([1], next=at or {"page": 1, "of": 2}))
    other: Range[int] = cursor(lambda at: Chunk([1], next={"of": 2, "page": 1}))

    with pytest.raises(CursorStuck, match=r"expected a cursor that advances, got .*page.* after itself"):
        list(walk(over))
    with pytest.raises(CursorStuck, match="the next chunk would be the same one, for ever"):
        other.chunk(other.open(), msgspec.Raw(b'{ "page": 1, "of": 2 }'), 0)


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: keyset(lambda after: []), r"keyset: expected a plain function \(cursor, limit\), got"),
        (lambda: keyset([1, 2]), r"keyset: expected a plain function \(cursor, limit\), got \[1, 2\]"),
        (lambda: stream(lambda: ()), r"stream: expected a plain function \(cursor\), got"),
        (lambda: cursor(lambda at, more: None), r"cursor: expected a plain function \(cursor\), got"),
        (lambda: cursor(partial(lines, Path())), r"cursor: .*not a generator or a context manager"),
        (lambda: keyset(table([]), after=lambda n: n), r"start: expected a plain function \(\), got"),
        (lambda: cursor(of_a_path), "cursor: parameter 'at' is annotated|cursor: .*JSON cannot carry"),
        (lambda: cursor(awaits), "cursor: .*, not an async def"),
        (lambda: stream(awaits_many), "stream: .*, not an async def"),
        (lambda: stream(lines_of).sized(0), "size: expected how many items a chunk has, 1 or more; got 0"),
        (lambda: keyset(table([])).sized(None), "size: expected how many items a chunk has, 1 or more; got None"),
        (lambda: cursor(pages).sized(5), r"size: a function of cursor\(\) decides it by itself; leave it out, got 5"),
    ],
)
def test_what_is_no_range_is_refused(declare: Any, told: str):
    """When it is declared: a function that could not be called so, or whose cursors could not travel."""
    with pytest.raises(ConfigError, match=f"^{told}"):
        declare()


def test_what_is_no_chunk_is_refused():
    """A function that gives a list has not said where the next one starts."""
    over: Range[int] = cursor(lambda at: [1, 2])  # type: ignore[arg-type,return-value]

    with pytest.raises(ConfigError, match=r"cursor: expected its function to return a Chunk or None, got \[1, 2\]"):
        list(walk(over))


def test_they_have_no_bounds_but_a_start():
    """How many there are is not known; the first cursor is null."""
    bounds = keyset(table([1])).open()

    assert (None, b"null", b"null") == (bounds.total, bytes(bounds.stop), bytes(bounds.cursor or b""))
    assert keyset(table([1])).done(bounds, bounds.start) is None
    assert "cursor(<function pages at" in repr(cursor(pages))


class Session: ...


def of_a_path(at: Session) -> None: ...


async def awaits(at: Any) -> None: ...


async def awaits_many(at: Any) -> Any:
    yield at


def lines_of(position: int) -> list[tuple[int, str]]:
    return []
