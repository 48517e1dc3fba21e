"""Range: what a chunked task is over, as it is declared. What is made of it in a run is JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

import msgspec

from ..chunking import Bounds
from ..errors import ConfigError
from .chunk import Chunk, advanced

T = TypeVar("T")


class Range(ABC, Generic[T]):
    """A declared range. It may hold functions: ``open`` calls them, and what they give is fixed for the run."""

    #: What it is over; a run's bounds carry it.
    kind: ClassVar[str]
    #: Whether its bounds say all of it, so that one call may have others.
    travels: ClassVar[bool] = False

    @abstractmethod
    def open(self) -> Bounds:
        """Return the bounds of a run that starts now.

        Raises:
            ConfigError: a function gave what is no bound, or a start after the stop.
        """

    def chunk(self, bounds: Bounds, at: msgspec.Raw, size: int) -> Chunk[T] | None:
        """Return the chunk that starts at a cursor; None when nothing is left.

        Raises:
            ConfigError: the run is over another kind of range than is declared.
            CursorStuck: the next chunk would start where this one does.
            DecodeError: the cursor or a bound is none of this kind.
        """
        if bounds.kind != self.kind:
            raise ConfigError(f"over: the run is over {bounds.kind}, and its task is declared over {self.kind}")
        chunk = self._chunk(bounds, at, size)
        if chunk is not None:
            advanced(at, chunk.next)
        return chunk

    @abstractmethod
    def _chunk(self, bounds: Bounds, at: msgspec.Raw, size: int) -> Chunk[T] | None: ...

    def done(self, bounds: Bounds, at: msgspec.Raw) -> int | None:
        """Return how many of ``bounds.total`` come before a cursor; None where that is not known."""
        return None

    @abstractmethod
    def sized(self, size: object) -> int:
        """Return the size in the range's own unit.

        Raises:
            ConfigError: it is below 1, or no size.
        """

    def check(self, size: int, max_runtime_ms: int) -> None:
        """Refuse what such chunks could not keep.

        Raises:
            ConfigError: which, and what to do.
        """
