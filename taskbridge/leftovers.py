"""Leftovers: what lies in an engine's queues, for whoever moves it to another engine.

Looked at without being taken; what is taken lies on a shelf of its own, so that it is never only in a process, and is
forgotten when it has another owner. Our own messages and the engine's are the same here. Spans are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from .message import Message

#: How the shelves of drains are named, so that the next one finds what a killed one has left.
DRAIN = "drain."

#: What an engine's words end with where a message is one, and is written in a way that we do not read.
_INNER = re.compile(r"got \d+ bytes: (ValueError): (.*)$")


class Leftover(msgspec.Struct, kw_only=True):
    """A message as it lies in a queue, or on the shelf of a drain.

    Args:
        queue: ours that it lies in.
        place: the engine's own list, for whoever takes it.
        key: what it is taken by, there.
        raw: the bytes.
        task: as far as it can be told.
        message: None where it cannot be read; of an engine's own it has its band, and as many attempts as it has had.
        problem: why it cannot be read.
        bound: what of it only its own engine can do, such as ``a chain``; empty for nothing.
        native: it was no producer of ours that made it.
        shelf: where it lies when it is taken.
        tag: what it is called there; empty while it lies in its queue.
        held: the store can forget it there in the step in which it takes it over.
    """

    queue: str
    place: str
    key: bytes
    raw: bytes
    task: str = ""
    message: Message | None = None
    problem: str = ""
    bound: str = ""
    native: bool = False
    shelf: str = ""
    tag: str = ""
    held: bool = False


class Hands(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine's own workers hold and have not acknowledged.

    Args:
        held: how many messages.
        free: how many of them can be moved: their workers are gone, or have shown no life for so long.
        workers: how many of these workers live; None where the broker cannot tell.
        hidden: why there may be more; empty where all of it is seen.
    """

    held: int = 0
    free: int = 0
    workers: int | None = None
    hidden: str = ""


NOBODY = Hands()


class Leftovers(Protocol):
    """One drain's hand on the queues of one backend."""

    def look(self) -> Iterator[list[Leftover]]:
        """Show what lies in the queues, page by page, each list from its front; what of a page was taken moves up."""

    def take(self, few: Sequence[Leftover]) -> list[Leftover]:
        """Take these onto a shelf; returns those that were still there, with their tags."""

    def stranded(self) -> Iterator[list[Leftover]]:
        """Show what lies on the shelves of drains that were killed. Only where no other drain of this backend lives."""

    def hands(self) -> Hands:
        """Count what the engine's own workers hold."""

    def seize(self) -> Iterator[list[Leftover]]:
        """Take, page by page, what they held and is free."""

    def forget(self, few: Sequence[Leftover]) -> None:
        """Take these off their shelves: they have another owner."""

    def give_back(self, few: Sequence[Leftover]) -> None:
        """Put these back to the front of their queues, the first of them first."""

    def close(self) -> None:
        """Put back whatever this drain has taken and neither forgotten nor given back."""


def reason(problem: str) -> str:
    """Return why a message cannot be read, without how long it is: so that what has one reason is told once."""
    inner = _INNER.search(problem)
    return inner[2] if inner else problem.partition(", got ")[0]
