"""Templates such as ``user:{user_id}``: which arguments one names, and the key that it makes of them. Pure.

A key is the same on every worker of every engine: each value is its canonical JSON, with the separator escaped; one
that is long is hashed. So ``"7"`` and ``7`` are two keys, and no value can look like two.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from ..errors import ConfigError

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

#: A value whose JSON is longer than this is hashed: keys are kept for every holder and every waiter.
LONGEST_VALUE = 64

_INT64 = 2**63

_encoder = msgspec.json.Encoder(order="deterministic")


def names_in(template: object, arguments: Collection[str], where: str) -> list[str]:
    """Return the arguments a template names, in its order.

    Raises:
        ConfigError: it names one that the task does not have, or more than names.
    """
    if not isinstance(template, str) or not {"{", "}", "\n"}.isdisjoint(_FIELD.sub("", template)):
        raise ConfigError(f"{where}: expected a template of arguments such as {{user_id}}, got {template!r}")
    names = _FIELD.findall(template)
    for name in names:
        if name not in arguments:
            raise ConfigError(f"{where}: {template!r} names {name!r}, which the task does not have")
    return names


def fields_in(template: str) -> list[str]:
    """Return the names in a template that was checked."""
    return _FIELD.findall(template)


def key_of(template: str, values: Mapping[str, Any]) -> str:
    """Return the template with each value in, canonical and escaped."""
    texts = list(_split(template))
    texts[1::2] = [_canonical(values[name]) for name in texts[1::2]]
    return "".join(texts)


def in_utc(value: Any) -> Any:
    """Return an instant as UTC has it; anything else as it is."""
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else value


def digest(value: Any) -> str:
    """Return 32 hexadecimal digits that are the same for equal values and no others."""
    import hashlib

    return hashlib.sha256(_json(value)).hexdigest()[:32]


@lru_cache(maxsize=1024)
def _split(template: str) -> tuple[str, ...]:
    """Return what stands between the names, and the names, in turn: the same few templates are filled in all day."""
    return tuple(_FIELD.split(template))


def _json(value: Any) -> bytes:
    """Return one JSON for equal values, in every process; a dict's keys are text there, as they are when they travel.

    Sets are put in order before they become lists: theirs depends on the process.
    """
    return _encoder.encode(msgspec.to_builtins(value, str_keys=True, order="deterministic"))


def _canonical(value: Any) -> str:
    if type(value) is int and -_INT64 <= value < _INT64:
        return str(value)  # as JSON has it
    text = _json(in_utc(value)).decode().replace(":", "\\u003a")
    if len(text) <= LONGEST_VALUE:
        return text
    return "sha256-" + digest(text)
