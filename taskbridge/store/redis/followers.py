"""What is to be made later, as ``make`` in flow.lua reads it."""

from __future__ import annotations

from ...message import encode
from ..flow import Follower


def text_of(follower: Follower | None) -> bytes:
    """Return it as one text; empty for none."""
    if follower is None:
        return b""
    message = follower.message
    away = "!" if follower.for_others else ""
    return f"{follower.wait_ms}{away} {message.id} {message.queue} ".encode() + encode(message)


def number(value: bytes | None, default: int = 0) -> int:
    """Return a number as a hash has it."""
    return int(float(value)) if value else default
