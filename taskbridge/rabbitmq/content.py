"""What comes with a method: properties and a body, left as they came until somebody wants them.

py-amqp reads properties where it reads the frame, so one header that it cannot read (a timestamp in the year 58,000, a
content type that is not UTF-8) breaks the connection, and the message that comes again breaks the next one. Here it is
the message's fault alone.
Source: amqp 5.4 ``method_framing.py`` (what this stands in for, by ``Connection(frame_handler=)``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from struct import unpack_from
from typing import Any

import msgspec
from amqp import spec
from amqp.exceptions import UnexpectedFrame

from .properties import read

#: Kinds of frames. Source: AMQP 0-9-1, "2.3.5 Frame Details".
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8

#: Where the properties begin in a header frame: after class, weight and size of the body.
_PROPERTIES_AT = 12

#: Where the consumer's name begins in a method frame that pushes: after class, method and its length.
_CONSUMER_AT = 5

#: What half a surrogate pair looks like, which py-amqp takes for text and nothing else can write.
_LONE = re.compile(rb"\xed[\xa0-\xbf]")

#: Properties that say nothing of what the body means.
_SAY_NOTHING = frozenset(("delivery_mode", "priority"))

_WITH_CONTENT = frozenset((spec.Basic.Return, spec.Basic.Deliver, spec.Basic.GetOk))


class Content:
    """A message as it came."""

    def __init__(self, method: tuple[int, int], arguments: bytes) -> None:
        self.method, self.arguments = method, arguments
        self.body = b""
        self._head = b""
        self._left = 0
        self._chunks: list[bytes] = []

    def properties(self) -> dict[str, Any]:
        """Read its properties; ``application_headers`` is its table.

        Raises:
            ValueError: they cannot be read.
        """
        try:
            properties = read(self._head, _PROPERTIES_AT)
            if _LONE.search(self._head):
                msgspec.json.encode(properties, enc_hook=repr)
        except Exception as error:  # whatever a stranger's bytes lead to in a parser that trusts them
            raise ValueError(f"its properties cannot be read: {error!r}") from error
        return properties

    def whole(self) -> bytes:
        """Return what the dead letters keep of it: its body, or JSON with all it came with where that says anything."""
        try:
            properties = self.properties()
        except ValueError as error:
            properties = {"unreadable": str(error), "bytes": self._head}
        headers = properties.pop("application_headers", None) or {}
        if not headers and properties.keys() <= _SAY_NOTHING:
            return self.body
        try:
            body: object = self.body.decode()
        except UnicodeDecodeError:
            body = self.body  # base64 in JSON
        return msgspec.json.encode({"body": body, "headers": headers, "properties": properties}, enc_hook=repr)

    def pushed(self) -> tuple[str, int]:
        """Return which consumer it was pushed for, and its tag.

        Source: AMQP 0-9-1, ``basic.deliver``, behind class and method: a short text and 64 bits.
        """
        end = _CONSUMER_AT + self.arguments[_CONSUMER_AT - 1]
        return self.arguments[_CONSUMER_AT:end].decode(), int.from_bytes(self.arguments[end : end + 8], "big")

    def begin(self, head: bytes) -> bool:
        """Take the header; returns whether that is all."""
        self._head = head
        (self._left,) = unpack_from(">Q", head, 4)
        return not self._left

    def add(self, chunk: bytes) -> bool:
        """Take a part of the body; returns whether that is all."""
        self._left -= len(chunk)
        self._chunks.append(chunk)
        if self._left > 0:
            return False
        self.body = b"".join(self._chunks)
        return True


def frames(
    deliver: Callable[[Content], None],
    connection: Any,
    callback: Callable[[int, tuple[int, int], bytes, Content | None], None],
) -> Any:
    """Return what py-amqp hands each frame to; it answers whether a method is complete.

    What was pushed goes to ``deliver``: py-amqp would read all arguments of a method by which most of what comes comes.
    """
    coming: dict[int, Content] = {}
    expected: dict[int, int] = {}

    def on_frame(frame: tuple[int, int, bytes]) -> bool:
        kind, channel, data = frame
        connection.bytes_recv += 1
        if kind == HEARTBEAT:
            return False
        if kind != expected.get(channel, METHOD):
            raise UnexpectedFrame(f"got a frame of kind {kind}, expected {expected.get(channel, METHOD)}")
        if kind == METHOD:
            method = unpack_from(">HH", data, 0)
            if method not in _WITH_CONTENT:
                callback(channel, method, data, None)
                return True
            coming[channel], expected[channel] = Content(method, data), HEADER
            return False
        content = coming[channel]
        if not (content.begin(data) if kind == HEADER else content.add(data)):
            expected[channel] = BODY
            return False
        del coming[channel], expected[channel]
        if content.method == spec.Basic.Deliver:
            deliver(content)
        else:
            callback(channel, content.method, content.arguments, content)
        return True

    return on_frame
