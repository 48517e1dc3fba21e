"""Messages that the store keeps, page by page: all of a state, or those of a queue, a task or a reason.

A page that asks for some of a million looks at so many and no more, and says where the next one begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import DecodeError
from ..message import Message, decode
from ..store import Record, Store
from ..store.browsing import Shelf

#: What can be looked through; what waits for a lock or a limit is found by its key.
SHELVES: tuple[Shelf, ...] = ("ready", "delayed", "running", "parked", "dead")

#: How many records are read in one trip, and at most for one page.
WINDOW, LOOKED_AT = 250, 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message; ``message`` is None for bytes that are none, and for code that waits."""

    record: Record
    message: Message | None

    @property
    def task(self) -> str:
        """Its task; empty where it cannot be read."""
        return self.message.task if self.message else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which messages: of this queue, this task, and with this text in the reason; empty is any."""

    queue: str = ""
    task: str = ""
    why: str = ""

    @property
    def all(self) -> bool:
        """Whether nothing is left out."""
        return not (self.queue or self.task or self.why)

    def has(self, line: Line) -> bool:
        """Whether it is one of them."""
        return (
            self.queue in ("", line.record.queue)
            and self.task in ("", line.task)
            and self.why.casefold() in line.record.why.casefold()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsed:
    """A page. ``total`` lie on the shelf, ``looked`` of them were looked at for it.

    ``next_offset`` is where the next page begins; None behind the last.
    """

    lines: list[Line]
    total: int
    looked: int
    next_offset: int | None


def browse(store: Store, shelf: Shelf, wanted: Wanted, *, limit: int = 50, offset: int = 0) -> Browsed:
    """Return messages of a shelf from a place on, in its order.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    at, total, lines = offset, 0, list[Line]()
    while at - offset < LOOKED_AT:
        size = limit if wanted.all else WINDOW
        page = store.browsing.records(shelf, size, at)
        total = page.total
        for n, line in enumerate(map(_line, page.records), 1):
            if wanted.has(line):
                lines.append(line)
            if len(lines) == limit:
                # those that went on meanwhile have left no record: no place is skipped for them
                looked = at + n - offset
                return Browsed(lines=lines, total=total, looked=looked, next_offset=_next(at + n, total))
        at += size
        if wanted.all or at >= total:
            break
    looked = max(0, min(at, total) - offset)
    return Browsed(lines=lines, total=total, looked=looked, next_offset=_next(at, total))


def waiters(store: Store, at: Literal["lock", "limit"], key: str, *, limit: int = 50, offset: int = 0) -> Browsed:
    """Return what waits at a lock or at the key of a limit, in turn."""
    page = store.browsing.waiters(at, key, limit, offset)
    lines = [_line(record) for record in page.records]
    looked = max(0, min(limit, page.total - offset))
    return Browsed(lines=lines, total=page.total, looked=looked, next_offset=_next(offset + limit, page.total))


def _next(at: int, total: int) -> int | None:
    return at if at < total else None


def _line(record: Record) -> Line:
    try:
        return Line(record=record, message=decode(record.body) if record.body else None)
    except DecodeError:
        return Line(record=record, message=None)
