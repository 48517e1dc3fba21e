"""Who did what: what operators have done, in the order in which they did it."""

from __future__ import annotations

from typing import Protocol

import msgspec

#: How many entries are kept; older ones are forgotten.
KEPT = 10_000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: ``who`` did ``verb`` to ``subject`` at that instant, unix milliseconds, by the store's clock."""

    at_ms: int
    who: str
    verb: str
    subject: str
    detail: str = ""


class Audit(Protocol):
    """The log."""

    def note(self, who: str, verb: str, subject: str, detail: str = "") -> None:
        """Write an entry behind all others."""

    def read(self, limit: int, offset: int = 0) -> list[Entry]:
        """Return entries, the newest first."""
