"""Values that an AMQP table can hold. Pure.

Source: amqp 5.4 ``serialization.py``: keys of up to 255 bytes, integers of 64 bits; RabbitMQ 3.10 hands all of them on.
"""

from __future__ import annotations

from typing import Any

import msgspec

#: Most bytes of a key, and of every text among a message's properties that is no header. Source: AMQP 0-9-1, shortstr.
SHORT = 255

_LEAST, _MOST = -(2**63), 2**63 - 1


def fitting(value: Any) -> Any:
    """Return a JSON value as a table holds it: what does not fit is its JSON as text."""
    if isinstance(value, dict):
        if any(len(str(key).encode(errors="surrogatepass")) > SHORT for key in value):
            return msgspec.json.encode(value).decode()
        return {str(key): fitting(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [fitting(one) for one in value]
    if isinstance(value, int) and not isinstance(value, bool) and not _LEAST <= value <= _MOST:
        return str(value)
    return value


def short(text: str) -> str | None:
    """Return a text that fits into a property; None where it does not, or says nothing."""
    return text if text and len(text.encode(errors="surrogatepass")) <= SHORT else None
