"""A message as it lay in its queue, made again of what Celery has read out of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from taskbridge.errors import DecodeError
from taskbridge.wire import TRACES

from . import wire


def of_request(task: str, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Return the message of a request, whose arguments Celery has read.

    Raises:
        DecodeError: an argument is nothing that JSON has.
    """
    headers = {name: getattr(request, name, None) for name in ("id", "retries", "root_id", "parent_id", "group")}
    headers |= {"task": task, "eta": None, "expires": None}
    more = request.headers or {}
    headers |= {name: more[name] for name in ("taskbridge", *TRACES) if more.get(name)}
    embed = {name: getattr(request, name, None) for name in wire.NO_EMBED}
    return _envelope([args, kwargs, embed], headers, request.reply_to)


def of_message(message: Any) -> bytes:
    """Return kombu's message, whose body is read here.

    Raises:
        DecodeError: as above; whatever reading the body raises.
    """
    return _envelope(message.payload, dict(message.headers), message.properties.get("reply_to"))


def whole(message: Any) -> bytes:
    """Return all that kombu's message says, for the dead letters: its body alone where there is nothing else."""
    body = message.body
    raw = bytes(body) if isinstance(body, bytes | bytearray) else str(body).encode(errors="surrogatepass")
    if not message.headers:
        return raw
    text = raw.decode(errors="backslashreplace")
    try:
        return msgspec.json.encode({"body": text, "headers": dict(message.headers)}, enc_hook=repr)
    except UnicodeEncodeError:  # half a surrogate pair, which no JSON can have
        return msgspec.json.encode({"body": text, "headers": ascii(message.headers)})


def _envelope(call: Any, headers: Mapping[str, Any], reply_to: Any) -> bytes:
    body = _json(call).decode()
    return _json({"body": body, "headers": headers, "properties": {"reply_to": reply_to or ""}})


def _json(value: Any) -> bytes:
    """Return a value as JSON. What UTF-8 or JSON does not have is written as it came, for whoever reads it to refuse.

    msgspec raises for half a surrogate pair and for a whole number of more than 64 bits, and says null for NaN.
    """
    try:
        encoded = msgspec.json.encode(value, enc_hook=dict)
        if b"null" not in encoded or not _has_nan(value):
            return encoded
    except (UnicodeEncodeError, OverflowError):
        pass
    except (TypeError, ValueError, RecursionError) as error:
        raise DecodeError(f"an argument is nothing that JSON has: {type(error).__name__}: {error}") from error
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DecodeError(f"an argument is nothing that JSON has: {type(error).__name__}: {error}") from error


def _has_nan(value: Any) -> bool:
    """Whether a number in it is none, or is infinite."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_has_nan, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_nan, value))
