"""Decide by the settings alone which backend carries a message: the default one, or that of a fixed share. Pure.

Shares are sticky and nested: a message's place between 0 and 100 is a hash of its key, a share is the stretch from 0
up, so raising it moves some keys over and none back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from ..config import Settings
from ..errors import ConfigError
from ..message import Message
from ..policies import key


def route_by_settings(message: Message, settings: Settings) -> str:
    """Return the name of the backend that carries this message where no rule of the route table takes it."""
    share = settings.shares.get(message.task)
    if share is None:
        return settings.backend
    place = place_of(f"{message.task} {message.route_key or message.id}")
    upper = 0.0
    for name, percent in share.to.items():
        upper += percent
        if place < upper:
            return name
    return settings.backend


def place_of(key: str) -> float:
    """Return a key's fixed place, 0 up to 100."""
    digest = _hash()(key.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53 * 100  # 53 bits: more would be rounded up to 100


def names_in(template: str, arguments: Collection[str], where: str) -> list[str]:
    """Return the arguments that a share is sticky by.

    Raises:
        ConfigError: it names none, one that the task does not have, or more than names.
    """
    names = key.names_in(template, arguments, where)
    if not names:
        raise ConfigError(f"{where}: expected a template of arguments such as {{user_id}}, got {template!r}")
    return names


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Return the template with the values in."""
    return template.format_map({name: str(values[name]) for name in key.fields_in(template)})


@cache
def _hash() -> Any:
    import hashlib  # most producers share nothing

    return hashlib.blake2b
