"""A ``Message`` as Dramatiq's JSON, and back. No Dramatiq needed.

Source: Dramatiq 2.2 ``dramatiq/message.py`` (the fields) and ``dramatiq/brokers/redis.py`` (``redis_message_id``).
Our own words travel in one option, ``taskbridge``; a message without it comes from a native producer.
"""

from __future__ import annotations

from typing import Any

import msgspec

from taskbridge.errors import DecodeError
from taskbridge.message import NO_KWARGS, Message, foreign_id

#: Native delayed messages lie in a queue of this suffix. Source: dramatiq/common.py, ``dq_name``.
DELAYED = ".DQ"


class Ours(msgspec.Struct, omit_defaults=True):
    """The ``taskbridge`` option: what Dramatiq has no word for. Golden: ``tests/wire``."""

    id: str
    seq: int = 1
    attempt: int = 1
    priority: int = 5
    due_at_ms: int = 0
    expires_at_ms: int = 0
    released_at_ms: int = 0
    route_key: str = ""
    engine: str = ""
    queue: str = ""
    v: int = 1


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


def encode(message: Message, queue_name: str, redis_message_id: str) -> bytes:
    """Return a message as Dramatiq's Redis broker keeps it.

    Args:
        message: what to send.
        queue_name: the queue it goes into; Dramatiq's own worker dies when the two differ.
        redis_message_id: its key in that queue.
    """
    native = _native_decoder.decode(message.native) if message.engine == "dramatiq" else Native()
    ours = Ours(
        id=message.id,
        seq=message.seq,
        attempt=message.attempt,
        priority=message.priority,
        due_at_ms=message.due_at_ms,
        expires_at_ms=message.expires_at_ms,
        released_at_ms=message.released_at_ms,
        route_key=message.route_key,
        engine=message.engine,
        queue=message.queue,
    )
    options = {**native.options, "redis_message_id": redis_message_id, "taskbridge": ours}
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
        ours = envelope.options.get("taskbridge")
        if ours is not None:
            return _of_ours(msgspec.convert(ours, Ours), envelope, queue), envelope
        return _of_native(envelope, queue), envelope
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise DecodeError(f"expected a Dramatiq message (JSON), got {raw[:80]!r}: {error!r}") from None


def _of_ours(ours: Ours, envelope: Envelope, queue: str) -> Message:
    return Message(
        id=ours.id,
        task=envelope.actor_name,
        queue=ours.queue or queue,
        args=envelope.args,
        kwargs=envelope.kwargs,
        enqueued_at_ms=envelope.message_timestamp,
        due_at_ms=ours.due_at_ms,
        expires_at_ms=ours.expires_at_ms,
        priority=ours.priority,
        seq=ours.seq,
        attempt=ours.attempt,
        engine=ours.engine,
        native=_native(envelope) if ours.engine == "dramatiq" else NO_KWARGS,
        released_at_ms=ours.released_at_ms,
        route_key=ours.route_key,
    )


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
    )


def _native(envelope: Envelope) -> msgspec.Raw:
    options = {k: v for k, v in envelope.options.items() if k not in ("taskbridge", "redis_message_id", "eta")}
    return msgspec.Raw(_encoder.encode(Native(id=envelope.message_id, options=options)))
