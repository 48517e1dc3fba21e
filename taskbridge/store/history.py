"""The store's part in how things were: numbers that somebody takes every few seconds, and the last of them.

What the numbers mean is for who takes and who reads them. Instants are unix milliseconds of the store's clock.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken at one instant."""

    at_ms: int
    numbers: bytes


class History(Protocol):
    """A row of moments, the last so many."""

    def add(self, numbers: bytes, *, every_ms: int, kept: int) -> bool:
        """Keep numbers as those of now, and so many moments in all; False when the last is younger than ``every_ms``.

        So two that take them at the same time leave one moment. A full store takes it too.
        """

    def last(self, limit: int) -> list[Moment]:
        """Return the last moments, the oldest first."""
