"""Frames as they come from a socket: read as much as is there at once, for py-amqp asks the kernel three times a frame.

Source: AMQP 0-9-1, "2.3.5 Frame Details": kind, channel and size, so many bytes, and an octet that ends the frame.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from amqp.exceptions import UnexpectedFrame

#: Most bytes asked of the kernel at once: a few hundred messages.
AT_ONCE = 65_536

_HEAD = Struct(">BHI")
_END = 0xCE

Frame = tuple[int, int, bytes]


class Reader:
    """What came and was not looked at yet.

    Args:
        socket: blocks for as long as one answer may take.
    """

    def __init__(self, socket: Any) -> None:
        self._receive = socket.recv
        self._came = b""
        self._at = 0

    def read_frame(self) -> Frame:
        """Return the next frame, when it has come; stands in for the method of py-amqp's transport.

        Raises:
            OSError: nothing came in time, or the connection was closed.
            UnexpectedFrame: these bytes are no frame.
        """
        while (frame := self.next()) is None:
            self.more()
        return frame

    def next(self) -> Frame | None:
        """Return the next frame, of what came."""
        came, at = self._came, self._at
        if len(came) < at + _HEAD.size:
            return None
        kind, channel, size = _HEAD.unpack_from(came, at)
        begin = at + _HEAD.size
        end = begin + size
        if len(came) <= end:
            return None
        if came[end] != _END:
            raise UnexpectedFrame(f"a frame of {size} bytes ends with {came[end]:#x}, expected {_END:#x}")
        self._at = end + 1
        return kind, channel, came[begin:end]

    def more(self) -> None:
        """Take what is there, or wait for it.

        Raises:
            OSError: nothing came in time, or the connection was closed.
        """
        more = self._receive(AT_ONCE)
        if not more:
            raise ConnectionResetError("it closed the connection")
        self._came, self._at = self._came[self._at :] + more, 0
