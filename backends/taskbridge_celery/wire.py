"""A ``Message`` as Celery's protocol version 2, and back. No Celery needed.

Source: Celery 5.7 docs, "Message Protocol", and ``celery/app/amqp.py``; the envelope is that of kombu 5.7.
Our own words travel in one header, ``taskbridge``; a message without it comes from a native producer.
"""

from __future__ import annotations

import base64
import os
import socket
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from taskbridge.errors import DecodeError
from taskbridge.leftovers import Leftover
from taskbridge.message import Message, foreign_id
from taskbridge.wire import message_of, ours, trace_of

#: Shown by Celery's own tools as the sender.
ORIGIN = f"taskbridge{os.getpid()}@{socket.gethostname()}"

#: Celery's own body: what comes after a task. Kept as it is for a native message.
NO_EMBED: dict[str, Any] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}

#: What of a native message's properties is kept: ``MessageGroupId`` is kombu's word for a fair queue's tenant on SQS.
_KEPT = ("reply_to", "MessageGroupId")

#: Headers that a message of ours needs in any Celery worker.
_PLAIN_HEADERS: dict[str, Any] = {
    "lang": "py",
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "parent_id": None,
    "argsrepr": "",
    "kwargsrepr": "",
    "origin": ORIGIN,
    "ignore_result": False,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}


class Native(msgspec.Struct, omit_defaults=True):
    """What a native producer's envelope carried beyond a ``Message``: kept through the store, given back to Celery."""

    id: str = ""
    headers: dict[str, Any] = {}
    embed: dict[str, Any] = {}
    properties: dict[str, Any] = {}


class Envelope(msgspec.Struct, kw_only=True):
    """A message as it lies in kombu's list."""

    body: str
    headers: dict[str, Any]
    properties: dict[str, Any]
    content_type: str = msgspec.field(name="content-type", default="application/json")
    content_encoding: str = msgspec.field(name="content-encoding", default="utf-8")


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)
_body_decoder = msgspec.json.Decoder(tuple[msgspec.Raw, msgspec.Raw, dict[str, Any]])
_native_decoder = msgspec.json.Decoder(Native)
_NO_EMBED_JSON = _encoder.encode(NO_EMBED)


class Parts(msgspec.Struct, frozen=True):
    """What a message is on every broker: what is around them differs."""

    id: str
    body: bytes
    headers: dict[str, Any]
    kept: dict[str, Any]
    """What of a native message's properties is kept."""

    @property
    def reply_to(self) -> str:
        """Where a native caller waits for an answer."""
        return str(self.kept.get("reply_to", ""))


def parts(message: Message, header: object) -> Parts:
    """Return a message as Celery has it; ``header`` are our own words in it."""
    native = _native_decoder.decode(message.native) if message.engine == "celery" else None
    embed = _encoder.encode(native.embed or NO_EMBED) if native else _NO_EMBED_JSON
    engine_id = native.id if native and native.id else message.id
    headers = _PLAIN_HEADERS | {"root_id": engine_id} | (native.headers if native else {})
    headers |= {"id": engine_id, "task": message.task, "eta": None, "expires": None, "taskbridge": header}
    body = b"".join((b"[", message.args, b",", message.kwargs, b",", embed, b"]"))
    kept = {name: value for name, value in native.properties.items() if name in _KEPT} if native else {}
    return Parts(engine_id, body, headers, kept)


def encode(message: Message, list_name: str, *, front: bool = False) -> bytes:
    """Return the envelope of a message for one of kombu's lists; ``front`` as in ``Backend.publish``."""
    found = parts(message, ours(message, front=front))
    properties = {
        "correlation_id": found.id,
        "reply_to": found.reply_to,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": list_name},
        "priority": 0,
        "delivery_tag": f"{message.id}.{message.seq}",
    } | found.kept
    return _encoder.encode(
        {
            "body": found.body.decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": found.headers,
            "properties": properties,
        }
    )


def describe(one: Leftover, message: Message, envelope: Envelope, priority: int) -> None:
    """Say what a message is, for who moves it; Celery's own have this priority, their retries are attempts."""
    one.task, one.bound, one.native = message.task, follows(message), not is_ours(envelope)
    if one.native:
        message = message.copy(priority=priority, attempt=1 + int(envelope.headers.get("retries") or 0))
    one.message = message


def follows(message: Message) -> str:
    """Return what of a message only Celery can do, in its own words; empty for nothing."""
    if message.engine != "celery":
        return ""
    native = _native_decoder.decode(message.native)
    words = {"chain": "a chain", "chord": "a chord", "callbacks": "callbacks", "errbacks": "errbacks"}
    found = [told for name, told in words.items() if native.embed.get(name)]
    return ", ".join([*found, *(["a group"] if native.headers.get("group") else [])])


def is_ours(envelope: Envelope) -> bool:
    """Whether we have published it, whoever made it."""
    return envelope.headers.get("taskbridge") is not None


def task_of(raw: bytes) -> str:
    """Return the task of a message whose arguments may be unreadable; empty where that is, too."""
    try:
        return str(_decoder.decode(raw).headers.get("task") or "")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


def group_of(message: Message) -> str:
    """Return the message group that a native producer put it in; empty for none."""
    if message.engine != "celery":
        return ""
    return str(_native_decoder.decode(message.native).properties.get("MessageGroupId", ""))


def decode(raw: bytes, queue: str) -> tuple[Message, Envelope]:
    """Read an envelope from one of kombu's lists.

    Args:
        raw: the bytes.
        queue: where it lay; a native producer's message belongs to it.

    Raises:
        DecodeError: the bytes are no Celery message, or one whose body is not JSON.
    """
    return read(lambda: _decoder.decode(raw), queue, raw)


def read(envelope_of: Callable[[], Envelope], queue: str, raw: bytes) -> tuple[Message, Envelope]:
    """Read an envelope; ``envelope_of`` takes it out of what a broker has, ``raw`` tells whose it may be.

    Raises:
        DecodeError: as ``decode``.
    """
    try:
        envelope = envelope_of()
        args, kwargs, embed = _body_decoder.decode(_body(envelope))
        header = envelope.headers.get("taskbridge")
        if header is not None:
            if isinstance(header, str):  # where headers are a table of the broker's
                header = msgspec.json.decode(header)
            message = message_of(header, str(envelope.headers["task"]), args, kwargs)
            return _with_native(message, envelope, embed), envelope
        return _of_native(envelope, queue, args, kwargs, embed), envelope
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        why = f"{type(error).__name__}: {error}"  # its repr may hold all of the bytes
        if b'"actor_name"' in raw:
            raise DecodeError("a message of Dramatiq's, in a queue of Celery's") from None
        raise DecodeError(f"expected a Celery message (protocol 2, JSON), got {len(raw)} bytes: {why}") from None


def _with_native(message: Message, envelope: Envelope, embed: dict[str, Any]) -> Message:
    if message.engine != "celery":
        return message
    return message.copy(native=_native(envelope, embed), bound=_is_bound(embed))


def _of_native(
    envelope: Envelope, queue: str, args: msgspec.Raw, kwargs: msgspec.Raw, embed: dict[str, Any]
) -> Message:
    headers = envelope.headers
    retries = int(headers.get("retries") or 0)
    return Message(
        id=foreign_id(str(headers["id"]), retries),
        task=str(headers["task"]),
        queue=queue,
        args=args,
        kwargs=kwargs,
        due_at_ms=_instant_ms(headers.get("eta")),
        expires_at_ms=_instant_ms(headers.get("expires")),
        attempt=1,
        engine="celery",
        native=_native(envelope, embed),
        bound=_is_bound(embed),
        trace=trace_of(headers),
    )


def _is_bound(embed: dict[str, Any]) -> bool:
    """Whether a chain, a chord or a callback follows."""
    return any(embed.get(name) for name in NO_EMBED)


def _native(envelope: Envelope, embed: dict[str, Any]) -> msgspec.Raw:
    headers = {k: v for k, v in envelope.headers.items() if k not in ("taskbridge", "eta", "expires")}
    properties = {k: v for k, v in envelope.properties.items() if k in _KEPT and v}
    return msgspec.Raw(
        _encoder.encode(Native(id=str(envelope.headers["id"]), headers=headers, embed=embed, properties=properties))
    )


def _body(envelope: Envelope) -> bytes:
    if envelope.content_type != "application/json":
        raise ValueError(f"its content type is {envelope.content_type}; taskbridge reads application/json")
    body = envelope.body.encode()
    if envelope.properties.get("body_encoding") == "base64":
        body = base64.b64decode(body)
    compression = envelope.headers.get("compression")
    if compression in ("application/x-gzip", "application/gzip", "gzip", "zlib"):
        body = zlib.decompress(body)
    elif compression:
        raise ValueError(f"its compression is {compression}; taskbridge reads zlib")
    return body


def _instant_ms(text: Any) -> int:
    """Celery writes instants as ISO 8601; without a zone they are UTC."""
    if not text:
        return 0
    instant = datetime.fromisoformat(str(text))
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)
