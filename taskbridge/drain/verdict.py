"""Decide whether a message can move to another backend, and when it is due there.

Pure: no store, no broker. Instants are unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..leftovers import Leftover
from ..message import Message

#: How the reason begins of what would come back.
LATER = "it is due later"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where messages are to move.

    Args:
        name: the backend's.
        engine: its engine.
        takes: whether somebody there takes a task from a queue.
        elsewhere: the backend that the routes send a message to, where it is not this one; else empty.
    """

    name: str
    engine: str
    takes: Callable[[str, str], bool]
    elsewhere: Callable[[Message], str]


def due_ms(one: Leftover) -> int:
    """Return when a native message's own delay is over; 0 for ours, which have waited in the store."""
    message = one.message
    return message.due_at_ms if message and message.engine and not message.released_at_ms else 0


def stays(one: Leftover, source_engine: str, target: Target, now_ms: int) -> str:
    """Return why a message must stay where it is; empty where it can move.

    Args:
        one: the message.
        source_engine: of where it lies.
        target: where it would go.
        now_ms: the store's time.
    """
    if one.message is None:
        return f"it cannot be read: {one.problem}"
    if one.message.is_copy:
        return "a shadow's copy: only its own side runs it"
    if one.bound and source_engine != target.engine:
        return f"{one.bound}: only {source_engine} does what follows"
    if not target.takes(one.message.task, one.message.queue):
        return f"no live worker on {target.name} takes it from queue {one.message.queue}"
    if due_ms(one) > now_ms and (name := target.elsewhere(one.message)):
        return f"{LATER}, and the routes send it to {name} then, not to {target.name}"
    return ""
