"""A message's properties, read from the bytes of its header frame. Pure.

What an engine's own messages have is read here; py-amqp, which takes twice as long, reads all that is unusual. Both
answer the same, also of what was cut short.
Source: AMQP 0-9-1, "4.2.5 Data Formats" and "4.2.6.1 The Content Header"; amqp 5.4 ``serialization.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from amqp.serialization import decode_properties_basic

#: What is read here, by bit, in the order of the bytes: short texts, a table, octets, short texts again.
_TEXTS = ((0x8000, "content_type"), (0x4000, "content_encoding"))
_TABLE = 0x2000
_OCTETS = ((0x1000, "delivery_mode"), (0x0800, "priority"))
_MORE_TEXTS = ((0x0400, "correlation_id"), (0x0200, "reply_to"))
_USUAL = 0xFE00

#: Kinds of values that most are.
_TEXT, _VOID = b"SV"

_flags, _size = struct.Struct(">H").unpack_from, struct.Struct(">I").unpack_from


class _UnusualError(Exception):
    """Not for us."""


def read(head: bytes, at: int) -> dict[str, Any]:
    """Return properties by py-amqp's names; ``application_headers`` is the table.

    Args:
        head: the frame's payload.
        at: where they begin in it.

    Raises:
        Exception: whatever a stranger's bytes lead to in py-amqp, which trusts them.
    """
    try:
        return _usual(head, at)
    except (_UnusualError, LookupError, UnicodeDecodeError, struct.error):
        return dict(decode_properties_basic(head, at)[0])


def _usual(head: bytes, at: int) -> dict[str, Any]:
    (flags,) = _flags(head, at)
    if flags & ~_USUAL:
        raise _UnusualError
    found: dict[str, Any] = {}
    at = _texts(head, at + 2, flags, _TEXTS, found)
    if flags & _TABLE:
        found["application_headers"], at = _table(head, at)
    for bit, name in _OCTETS:
        if flags & bit:
            found[name] = head[at]
            at += 1
    _texts(head, at, flags, _MORE_TEXTS, found)
    return found


def _texts(head: bytes, at: int, flags: int, names: tuple[tuple[int, str], ...], found: dict[str, Any]) -> int:
    for bit, name in names:
        if flags & bit:
            begin = at + 1
            at = begin + head[at]
            found[name] = head[begin:at].decode()
    return at


def _table(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    end = at + 4 + _size(data, at)[0]
    at += 4
    found: dict[str, Any] = {}
    while at < end:
        begin = at + 1
        at = begin + data[at]
        key = data[begin:at].decode()
        kind = data[at]
        if kind == _TEXT:
            begin = at + 5
            at = begin + _size(data, at + 1)[0]
            found[key] = data[begin:at].decode()
        elif kind == _VOID:
            at += 1
            found[key] = None
        else:
            found[key], at = _READERS[kind](data, at + 1)
    return found, at


def _array(data: bytes, at: int) -> tuple[list[Any], int]:
    end = at + 4 + _size(data, at)[0]
    at += 4
    found = []
    while at < end:
        value, at = _READERS[data[at]](data, at + 1)
        found.append(value)
    return found, at


def _text(data: bytes, at: int) -> tuple[str, int]:
    begin = at + 4
    end = begin + _size(data, at)[0]
    return data[begin:end].decode(), end


def _fixed(form: str) -> Callable[[bytes, int], tuple[Any, int]]:
    one = struct.Struct(form)
    return lambda data, at: (one.unpack_from(data, at)[0], at + one.size)


#: By kind; others are unusual.
_READERS: dict[int, Callable[[bytes, int], tuple[Any, int]]] = {
    ord("F"): _table,
    ord("A"): _array,
    ord("I"): _fixed(">i"),
    ord("l"): _fixed(">q"),
    ord("L"): _fixed(">q"),
    ord("d"): _fixed(">d"),
    ord("t"): lambda data, at: (bool(data[at]), at + 1),
    _TEXT: _text,
    _VOID: lambda _data, at: (None, at),
}
