"""What a chunked task is to the floors below ``flow``: the bounds of one run, and what was declared.

Bounds are JSON, so that a run keeps them from its first chunk to its last; a declared range may hold functions, which
give them when a run starts. A cursor is the JSON of where a chunk starts.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from .errors import DecodeError
from .message import NULL


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The range of one run, as JSON.

    ``start`` and ``stop`` are half open; ``stop`` is null where only the function knows the end. ``step`` is between
    two items, in the unit of the kind (ids: 1; dates: days; times: microseconds, 0 where none was named). ``total`` is
    how many items there are (times without a step: microseconds), None where that is not known.
    """

    kind: str
    start: msgspec.Raw
    stop: msgspec.Raw = NULL
    step: int = 0
    total: int | None = None

    @property
    def cursor(self) -> msgspec.Raw | None:
        """Where the first chunk starts; None when the range is empty."""
        return None if self.total == 0 else self.start


class DeclaredRange(Protocol):
    """What a task is chunked over; see ``flow.ranges.Range``."""

    @property
    def kind(self) -> str: ...
    def open(self) -> Bounds: ...
    def chunk(self, bounds: Bounds, at: msgspec.Raw, size: int) -> Any: ...
    def done(self, bounds: Bounds, at: msgspec.Raw) -> int | None: ...


class ChunkPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What ``@chunked`` declares.

    ``size`` is in the unit of the range (ids, keys and items: how many; dates: days; times: microseconds; 0: its
    function decides). ``max_backlog`` None is no bound, ``max_runtime_ms`` 0 is none.
    """

    range: DeclaredRange
    size: int
    pause_ms: int = 0
    max_backlog: int | None = None
    max_runtime_ms: int = 0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Bounds)


def encode(bounds: Bounds) -> bytes:
    """Return the bounds as they travel."""
    return _encoder.encode(bounds)


def decode(raw: bytes | msgspec.Raw) -> Bounds:
    """Read what ``encode`` wrote.

    Raises:
        DecodeError: it is no bounds.
    """
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(f"expected the bounds of a range, got {bytes(raw)[:80]!r}: {error}") from None
