"""Our own words in a native message: what no engine has a word for, in one header or option called ``taskbridge``.

A message without it comes from a native producer. Golden: ``tests/wire``. New fields come last, with defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .message import NO_KWARGS, VERSION, Flow, Message, Shadow

#: Headers by which tracers join a message to who has sent it: Sentry's, and those of W3C Trace Context and Baggage.
TRACES = ("sentry-trace", "traceparent", "tracestate", "baggage")


class Ours(msgspec.Struct, omit_defaults=True):
    """The ``taskbridge`` header."""

    id: str
    queue: str
    seq: int = 1
    attempt: int = 1
    priority: int = 5
    enqueued_at_ms: int = 0
    due_at_ms: int = 0
    expires_at_ms: int = 0
    released_at_ms: int = 0
    route_key: str = ""
    engine: str = ""
    v: int = VERSION
    timeout_ms: int = 0
    hard_timeout_ms: int = 0
    front: bool = False
    """It has waited already, and lies before what came later."""
    flow: Any = None
    """A ``Flow``, as JSON values."""
    trace: Any = None
    """Headers that join it to who has sent it, as JSON values."""
    tags: tuple[str, ...] = ()
    route_keys: dict[str, str] | None = None
    shadow: Shadow | None = None


def ours(message: Message, *, front: bool = False) -> Ours:
    """Return what a message says beside its task and arguments."""
    return Ours(
        id=message.id,
        queue=message.queue,
        seq=message.seq,
        attempt=message.attempt,
        priority=message.priority,
        enqueued_at_ms=message.enqueued_at_ms,
        due_at_ms=message.due_at_ms,
        expires_at_ms=message.expires_at_ms,
        released_at_ms=message.released_at_ms,
        route_key=message.route_key,
        engine=message.engine,
        v=message.v,
        timeout_ms=message.timeout_ms,
        hard_timeout_ms=message.hard_timeout_ms,
        front=front,
        flow=msgspec.json.decode(msgspec.json.encode(message.flow)) if message.flow else None,
        trace=msgspec.json.decode(message.trace) if message.trace != NO_KWARGS else None,
        tags=message.tags,
        route_keys=message.route_keys,
        shadow=message.shadow,
    )


def trace_of(headers: Mapping[str, Any]) -> msgspec.Raw:
    """Return what a native producer's tracer has put among these headers, as JSON."""
    found = {name: headers[name] for name in TRACES if isinstance(headers.get(name), str)}
    return msgspec.Raw(msgspec.json.encode(found)) if found else NO_KWARGS


def message_of(header: object, task: str, args: msgspec.Raw, kwargs: msgspec.Raw) -> Message:
    """Return the message that a header, a task and its arguments make.

    Args:
        header: what ``ours`` wrote, as JSON values.
        task: its name.
        args: a JSON array.
        kwargs: a JSON object.

    Raises:
        msgspec.ValidationError: it is no header of ours.
    """
    said = msgspec.convert(header, Ours)
    return Message(
        id=said.id,
        task=task,
        queue=said.queue,
        args=args,
        kwargs=kwargs,
        enqueued_at_ms=said.enqueued_at_ms,
        due_at_ms=said.due_at_ms,
        expires_at_ms=said.expires_at_ms,
        priority=said.priority,
        seq=said.seq,
        attempt=said.attempt,
        engine=said.engine,
        released_at_ms=said.released_at_ms,
        route_key=said.route_key,
        v=said.v,
        timeout_ms=said.timeout_ms,
        hard_timeout_ms=said.hard_timeout_ms,
        flow=msgspec.json.decode(msgspec.json.encode(said.flow), type=Flow) if said.flow else None,
        trace=msgspec.Raw(msgspec.json.encode(said.trace)) if said.trace else NO_KWARGS,
        tags=said.tags,
        route_keys=said.route_keys,
        shadow=said.shadow,
    )
