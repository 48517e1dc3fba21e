"""Chunk: the part of a range that one run of a chunked task works on, and how far it came.

Iteration is ended early only by us: the chunk's time is over, or the worker is asked to stop. At least one item is
given before that, so a run always goes on. Whatever the task does of its own will, the whole chunk counts as done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec

from ..clock import Clock
from ..errors import ConfigError, CursorStuck

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def as_json(cursor: Any) -> msgspec.Raw:
    """Return a cursor as JSON; one that is JSON already as it is."""
    return cursor if isinstance(cursor, msgspec.Raw) else msgspec.Raw(_encode(cursor))


def advanced(at: msgspec.Raw, after: msgspec.Raw | None) -> msgspec.Raw | None:
    """Return the cursor that follows ``at``; None is the end.

    Raises:
        CursorStuck: it is the same one.
    """
    if after is not None and msgspec.json.decode(at) == msgspec.json.decode(after):
        raise CursorStuck(
            f"expected a cursor that advances, got {bytes(after).decode()} after itself: the next chunk would be the "
            f"same one, for ever; return where the next one starts, or None at the end"
        )
    return after


class Chunk(Generic[T]):
    """Part of a range. A function of ``cursor()`` makes it by hand; a chunked task is handed it.

    ::

        for user_id in chunk: ...                     # ends early when its time is over or the worker is to stop
        post_all(chunk.items)                         # all of it, whatever the time
        update(since=chunk.start, until=chunk.stop)   # half open

    Args:
        items: what it is made of. Defaults to nothing.
        next: the cursor that the next chunk starts with, JSON; None is the end. Defaults to None.
        cursors: for each item the cursor that comes after it, so that iteration may end there. Defaults to none:
            iteration goes through to the end.
        start: where it begins. Defaults to nowhere.
        stop: where it ends, half open. Defaults to nowhere.

    Raises:
        ConfigError: the items are no sequence, or there are not as many cursors.
    """

    __slots__ = (
        "_clock", "_cut", "_encode", "_stopping", "_until_s",
        "cursors", "items", "next", "number", "run", "start", "stop",
    )  # fmt: skip

    def __init__(
        self,
        items: Sequence[T] = (),
        *,
        next: Any = None,
        cursors: Sequence[Any] | None = None,
        start: T | Any = None,
        stop: T | Any = None,
    ) -> None:
        _refuse_no_sequence(items)
        if cursors is not None and len(cursors) != len(items):
            raise ConfigError(f"cursors: expected one for each of {len(items)} items, got {len(cursors)}")
        self.items = items
        self.next = next
        self.cursors = cursors
        self.start: T | Any = start
        self.stop: T | Any = stop
        self.number = 0
        self.run = ""
        self._encode: Callable[[Any], msgspec.Raw] = as_json
        self._clock: Clock | None = None
        self._until_s: float | None = None
        self._stopping: Callable[[], bool] | None = None
        self._cut: int | None = None

    def __iter__(self) -> Iterator[T]:
        if self._cut is not None:  # a second pass covers what the first one did
            yield from islice(self.items, self._cut)
            return
        for done, item in enumerate(self.items):
            if done and self._over():
                self._end_after(done)
                return
            yield item

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, item: object) -> bool:
        return item in self.items

    def __repr__(self) -> str:
        following = "the last" if self.next is None else f"next {bytes(self._encode(self.next)).decode()}"
        return f"<Chunk {self.number} of {self.run or 'no run'}, {following}>"

    @property
    def ended_early(self) -> bool:
        """Whether iteration was ended before the last item."""
        return self._cut is not None

    @property
    def covered(self) -> int:
        """How many of its items are done: all, or those before iteration was ended."""
        return len(self.items) if self._cut is None else self._cut

    @property
    def reached(self) -> msgspec.Raw | None:
        """The cursor of what is left to do: in this chunk if it was ended early, else ``next``; None is the end."""
        if self._cut is None or self.cursors is None:
            return None if self.next is None else self._encode(self.next)
        return self._encode(self.cursors[self._cut - 1])

    def carried(self, encode: Callable[[Any], msgspec.Raw]) -> Chunk[T]:
        """Return this chunk with its cursors as JSON; ``encode`` makes it of them."""
        made = copy(self)
        made.next = None if self.next is None else encode(self.next)
        made._encode = lambda cursor: cursor if isinstance(cursor, msgspec.Raw) else encode(cursor)
        return made

    def under(
        self,
        *,
        number: int,
        run: str = "",
        clock: Clock | None = None,
        until_s: float | None = None,
        stopping: Callable[[], bool] | None = None,
    ) -> Chunk[T]:
        """Return this chunk as it is handed to the task.

        Args:
            number: which of the run it is, from 0.
            run: the run's id. Defaults to none: a direct call.
            clock: what ``until_s`` is of.
            until_s: the monotonic second at which iteration ends. Defaults to never.
            stopping: whether the worker is asked to stop. Defaults to never.

        Raises:
            ConfigError: iteration is to end by time, and the chunk does not say where it may.
        """
        if until_s is not None and self.cursors is None and len(self.items):
            raise ConfigError(
                "max_runtime: expected a chunk that can end between two items, and this one has no cursors: give "
                "Chunk(items, cursors=[the cursor after each item], next=...), or leave max_runtime out"
            )
        made = copy(self)
        made.number, made.run = number, run
        made._clock, made._until_s, made._stopping = clock, until_s, stopping
        made._cut = None
        return made

    def _end_after(self, done: int) -> None:
        """The first of several passes that was ended counts: what it did not reach is left to do."""
        self._cut = done if self._cut is None else min(done, self._cut)

    def _over(self) -> bool:
        if self.cursors is None:
            return False
        if self._stopping is not None and self._stopping():
            return True
        return self._until_s is not None and self._clock is not None and self._clock.monotonic_s() >= self._until_s


def _refuse_no_sequence(items: object) -> None:
    if not isinstance(items, Sequence) or isinstance(items, str | bytes):
        raise ConfigError(f"items: expected a list or another sequence, got {items!r}")
