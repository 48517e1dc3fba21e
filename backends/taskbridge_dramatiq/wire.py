"""A ``Message`` as Dramatiq's JSON, and back. No Dramatiq needed.

Source: Dramatiq 2.2 ``dramatiq/message.py`` (the fields) and ``dramatiq/brokers/redis.py`` (``redis_message_id``).
Our own words travel in one option, ``taskbridge``; a message without it comes from a native producer.
"""

from __future__ import annotations

from typing import Any

import msgspec

from taskbridge.errors import DecodeError
from taskbridge.leftovers import Leftover
from taskbridge.message import Message, foreign_id
from taskbridge.wire import message_of, ours, trace_of

#: What makes something follow a message. Source: dramatiq/middleware, callbacks.py, group_callbacks.py, pipelines.py.
FOLLOWED = ("pipe_target", "on_success", "on_failure", "group_completion_uuid")

#: Native delayed messages lie in a queue of this suffix. Source: dramatiq/common.py, ``dq_name``.
DELAYED = ".DQ"

#: Where Sentry's middleware for Dramatiq puts its headers. Source: sentry_sdk/integrations/dramatiq.py.
SENTRY = "_sentry_headers"
#: What the names of Dramatiq's queues end in where it cannot share them with another engine.
SUFFIX = "-dramatiq"


class Native(msgspec.Struct, omit_defaults=True):
    """What a native producer's message carried beyond a ``Message``: kept through the store, given back to Dramatiq."""

    id: str = ""
    options: dict[str, Any] = {}


class Envelope(msgspec.Struct):
    """A message as it lies in Dramatiq's hash; its field names are Dramatiq's."""

    queue_name: str
    actor_name: str
    args: msgspec.Raw
    kwargs: msgspec.Raw
    options: dict[str, Any]
    message_id: str
    message_timestamp: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)
_native_decoder = msgspec.json.Decoder(Native)


def encode(message: Message, queue_name: str, redis_message_id: str = "", *, front: bool = False) -> bytes:
    """Return a message as Dramatiq writes it.

    Args:
        message: what to send.
        queue_name: the queue it goes into; Dramatiq's own worker dies when the two differ.
        redis_message_id: its key in that queue, on Redis.
        front: as in ``Backend.publish``.
    """
    native = _native_decoder.decode(message.native) if message.engine == "dramatiq" else Native()
    key = {"redis_message_id": redis_message_id} if redis_message_id else {}
    options = {**native.options, **key, "taskbridge": ours(message, front=front)}
    return _encoder.encode(
        Envelope(
            queue_name=queue_name,
            actor_name=message.task,
            args=message.args,
            kwargs=message.kwargs,
            options=options,
            message_id=native.id or message.id,
            message_timestamp=message.enqueued_at_ms,
        )
    )


def decode(raw: bytes, queue: str) -> tuple[Message, Envelope]:
    """Read a message of Dramatiq's.

    Args:
        raw: the bytes.
        queue: where it lay; a native producer's message belongs to it.

    Raises:
        DecodeError: the bytes are no Dramatiq message.
    """
    try:
        envelope = _decoder.decode(raw)
        header = envelope.options.get("taskbridge")
        if header is not None:
            message = message_of(header, envelope.actor_name, envelope.args, envelope.kwargs)
            return _with_native(message, envelope), envelope
        return _of_native(envelope, queue), envelope
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"  # its repr may hold all of the bytes
        if b'"headers"' in raw and b'"body"' in raw:
            raise DecodeError("a message of Celery's, in a queue of Dramatiq's") from None
        raise DecodeError(f"expected a Dramatiq message (JSON), got {len(raw)} bytes: {why}") from None


def _with_native(message: Message, envelope: Envelope) -> Message:
    if message.engine != "dramatiq":
        return message
    return message.copy(native=_native(envelope), bound=_is_bound(envelope))


def _of_native(envelope: Envelope, queue: str) -> Message:
    options = envelope.options
    return Message(
        id=foreign_id(envelope.message_id, int(options.get("retries") or 0)),
        task=envelope.actor_name,
        queue=queue,
        args=envelope.args,
        kwargs=envelope.kwargs,
        enqueued_at_ms=envelope.message_timestamp,
        due_at_ms=int(options.get("eta") or 0),
        engine="dramatiq",
        native=_native(envelope),
        bound=_is_bound(envelope),
        trace=trace_of({**options, **_mapping(options.get(SENTRY))}),
    )


def describe(one: Leftover, message: Message, envelope: Envelope, priority: int) -> None:
    """Say what a message is, for who moves it; Dramatiq's own have this priority, their retries are attempts."""
    one.task, one.bound, one.native = message.task, follows(message), not is_ours(envelope)
    if one.native:
        attempt = 1 + int(envelope.options.get("retries") or 0)
        message = message.copy(priority=priority, attempt=attempt, expires_at_ms=expires_of(envelope))
    one.message = message


def follows(message: Message) -> str:
    """Return what of a message only Dramatiq can do, in words; empty for nothing."""
    if message.engine != "dramatiq":
        return ""
    options = _native_decoder.decode(message.native).options
    words = ("a pipeline", "on_success", "on_failure", "a group")
    return ", ".join(told for name, told in zip(FOLLOWED, words, strict=True) if options.get(name))


def expires_of(envelope: Envelope) -> int:
    """Return when it is no longer worth beginning by Dramatiq's ``max_age``, unix milliseconds; 0 for never."""
    age_ms = envelope.options.get("max_age")
    return envelope.message_timestamp + int(age_ms) if age_ms else 0


def is_ours(envelope: Envelope) -> bool:
    """Whether we have published it, whoever made it."""
    return envelope.options.get("taskbridge") is not None


def task_of(raw: bytes) -> str:
    """Return the task of a message that cannot be read; empty where that cannot be, too."""
    try:
        return str(msgspec.json.decode(raw)["actor_name"])
    except (msgspec.MsgspecError, ValueError, RecursionError, LookupError, TypeError):
        return ""


def _is_bound(envelope: Envelope) -> bool:
    """Whether a pipeline, a group or a callback follows."""
    return any(envelope.options.get(name) for name in FOLLOWED)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _native(envelope: Envelope) -> msgspec.Raw:
    options = {k: v for k, v in envelope.options.items() if k not in ("taskbridge", "redis_message_id", "eta")}
    return msgspec.Raw(_encoder.encode(Native(id=envelope.message_id, options=options)))
