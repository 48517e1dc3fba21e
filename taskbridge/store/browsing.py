"""Pages of what may be a million: each costs what it shows, wherever it begins, and changes nothing.

Records come without their tracebacks, which only ``Messages.look`` has. Instants are unix milliseconds.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from .messages import Record
from .waiting import LockState

#: Where messages lie, and which comes first. ``ready``: due by now, the first due. ``delayed``: due later, and what a
#: relay publishes now; the first due. ``running``: the first to lapse. ``parked``: the first to be given up.
#: ``dead``: the newest.
Shelf = Literal["ready", "delayed", "running", "parked", "dead"]


class RecordPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of ``total`` records; code has no body. Those that went on between two looks are left out."""

    records: list[Record]
    total: int


class LockPage(msgspec.Struct, frozen=True, kw_only=True):
    """The locks of some of ``total`` claims and reservations, by key; one whose message has none adds none."""

    locks: list[LockState]
    total: int


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of ``total`` keys of limits that are waited at, the next to be let out first, and how many wait at each."""

    waiting: dict[str, int]
    total: int


class Browsing(Protocol):
    """Looking through, page by page."""

    def records(self, shelf: Shelf, limit: int, offset: int = 0) -> RecordPage:
        """Messages on a shelf, and code that runs with a lock or a limit's token."""

    def waiters(self, at: Literal["lock", "limit"], key: str, limit: int, offset: int = 0) -> RecordPage:
        """Messages and code that wait at a lock, or at the key of a limit, the longest wait first."""

    def locks(self, limit: int, offset: int = 0) -> LockPage:
        """The locks that so many claims and reservations have; the claims come first."""

    def lock(self, key: str) -> LockState | None:
        """One lock; None when nobody holds it or has it reserved."""

    def limit_keys(self, limit: int, offset: int = 0) -> KeyPage:
        """Keys of limits that are waited at."""
