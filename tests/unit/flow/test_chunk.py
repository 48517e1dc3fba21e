"""Chunk: what it is made of, where iteration may end, and what is left then."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge import Chunk
from taskbridge.errors import ConfigError
from taskbridge.testing import FakeClock


def numbers(count: int = 10) -> Chunk[int]:
    """A chunk of 0, 1, 2 ..., whose cursors are the next number."""
    return Chunk(range(count), cursors=range(1, count + 1), next=count)


@given(some.integers(1, 30), some.integers(0, 40))
def test_time_ends_iteration_between_two_items(count: int, ends_s: int):
    """With a second for each item, as many are given as began before the time was over, and at least one."""
    clock = FakeClock()
    chunk = numbers(count).under(number=0, clock=clock, until_s=ends_s)

    given = []
    for n in chunk:
        given.append(n)
        clock.advance(1)

    done = min(count, max(1, ends_s))
    assert list(range(done)) == given
    assert (str(done).encode(), done < count) == (bytes(chunk.reached or b""), chunk.ended_early)


def test_a_worker_that_is_asked_to_stop_ends_it():
    """After the item that is worked on; what is left begins there."""
    asked = [False]
    chunk = numbers().under(number=0, stopping=lambda: asked[0])

    for n in chunk:
        asked[0] = n >= 3

    assert (4, b"4") == (n + 1, bytes(chunk.reached or b""))


@pytest.mark.parametrize("leaves_after", [None, 0, 3, 9])
def test_a_task_that_leaves_by_itself_has_done_all(leaves_after: int | None):
    """It never iterated, broke out, or went through: what follows is the next chunk."""
    chunk = numbers().under(number=0, clock=FakeClock(), until_s=99, stopping=lambda: False)

    for n in chunk if leaves_after is not None else ():
        if n == leaves_after:
            break

    assert (b"10", False) == (bytes(chunk.reached or b""), chunk.ended_early)


def test_a_second_pass_covers_what_the_first_did():
    """A task that goes through its chunk twice, once to look and once to write, does the same items twice."""
    clock = FakeClock()
    chunk = numbers().under(number=0, clock=clock, until_s=3)
    first = [(n, clock.advance(1))[0] for n in chunk]

    assert [0, 1, 2] == first == list(chunk)
    assert b"3" == bytes(chunk.reached or b"")


def test_of_several_passes_the_shortest_counts():
    """What one of them did not reach is left to do: done twice is better than never."""
    asked = [False]
    chunk = numbers().under(number=0, stopping=lambda: asked[0])
    outer, inner = iter(chunk), iter(chunk)
    begun = [next(outer), next(outer), next(outer), next(inner)]
    asked[0] = True

    assert ([0, 1, 2, 0], [], []) == (begun, list(inner), list(outer))
    assert b"1" == bytes(chunk.reached or b"")


def test_looking_for_an_item_ends_nothing():
    """``in``, ``len`` and ``items`` are of the whole chunk, whatever the time."""
    chunk = numbers().under(number=0, stopping=lambda: True)

    assert (True, False, 10, 10) == (9 in chunk, 10 in chunk, len(chunk), len(chunk.items))
    assert not chunk.ended_early


def test_the_last_chunk_has_no_next():
    """Nothing follows it; ended early, what is left of it does."""
    last = Chunk([1, 2, 3], cursors=["b", "c", "d"]).under(number=7, run="a run", stopping=lambda: True)

    assert ([1], b'"b"') == (list(last), bytes(last.reached or b""))
    assert (None, None) == (Chunk([1, 2]).reached, Chunk().reached)
    assert "<Chunk 7 of a run, the last>" == repr(last)
    assert "<Chunk 0 of no run, next 10>" == repr(numbers())


def test_an_empty_chunk_needs_no_cursors():
    """A page without rows, with a next one: there is nothing that time could end."""
    empty = Chunk[int](next="c").under(number=1, clock=FakeClock(), until_s=1)

    assert ([], b'"c"') == (list(empty), bytes(empty.reached or b""))


def test_each_run_of_a_chunk_begins_anew():
    """A chunk that is handed out again knows nothing of how far the first came."""
    made = numbers()
    first = made.under(number=1, stopping=lambda: True)
    list(first)

    assert list(range(10)) == list(made) == list(first.under(number=1))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Chunk(iter([1])), "items: expected a list or another sequence, got <list_iterator"),
        (lambda: Chunk({1, 2}), r"items: expected a list or another sequence, got \{1, 2\}"),
        (lambda: Chunk("abc"), "items: expected a list or another sequence, got 'abc'"),
        (lambda: Chunk([1, 2], cursors=[1]), "cursors: expected one for each of 2 items, got 1"),
        (
            lambda: Chunk([1], next=2).under(number=0, clock=FakeClock(), until_s=1),
            r"max_runtime: expected a chunk that can end between two items.*Chunk\(items, cursors=",
        ),
    ],
)
def test_what_is_no_chunk_is_refused(make: Any, told: str):
    """With what was expected; time that would not end it is not ignored."""
    with pytest.raises(ConfigError, match=f"^{told}"):
        make()
