"""Frames out of whatever pieces a socket hands over."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest
from amqp.exceptions import UnexpectedFrame
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.rabbitmq.reader import Reader

frame = some.tuples(some.integers(1, 8), some.integers(0, 65_535), some.binary(max_size=50))


class Pieces:
    """A socket that hands over these, and is closed then."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def recv(self, _most: int) -> bytes:
        return next(self._pieces, b"")


def written(kind: int, channel: int, payload: bytes, end: int = 0xCE) -> bytes:
    return struct.pack(f">BHI{len(payload)}sB", kind, channel, len(payload), payload, end)


@given(frames=some.lists(frame, max_size=8), size=some.integers(1, 70))
def test_frames_are_read_as_they_were_written(frames: list[tuple[int, int, bytes]], size: int):
    """However the bytes are cut; then it says that the connection was closed."""
    whole = b"".join(written(*one) for one in frames)
    reader = Reader(Pieces(whole[at : at + size] for at in range(0, len(whole), size)))

    assert frames == [reader.read_frame() for _ in frames]
    assert reader.next() is None
    with pytest.raises(OSError, match="closed"):
        reader.read_frame()


def test_what_is_no_frame_is_an_error():
    """A frame that ends otherwise would make all that follows mean something else."""
    reader = Reader(Pieces([written(1, 1, b"abc", end=0xCF)]))

    with pytest.raises(UnexpectedFrame, match="ends with 0xcf"):
        reader.read_frame()
