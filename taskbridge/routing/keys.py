"""The key that a share is sticky by, made of a call's arguments. Pure.

Where the task is declared its arguments are decoded as annotated, with defaults filled in. Elsewhere they are taken as
they travel, by name, or by position where it is known what stands where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..codec import Arguments
from ..errors import DecodeError
from ..policies.key import key_of
from .rules import fields_in

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_dict_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()

#: What says that no key can be made: values that do not fit, and defaults that JSON cannot carry.
_NO_KEY = (DecodeError, msgspec.MsgspecError, KeyError, TypeError, ValueError, OverflowError, RecursionError)


def has_all(template: str, arguments: Arguments) -> bool:
    """Whether a task has the arguments that a template names, or takes any."""
    return arguments.takes_any_keyword or set(fields_in(template)).issubset(arguments.names)


def key_of_call(template: str, arguments: Arguments, args: msgspec.Raw, kwargs: msgspec.Raw) -> str | None:
    """Return the key of a call of a task that is declared here; None where an argument is missing or does not fit."""
    try:
        return key_of(template, arguments.values_of(fields_in(template), args, kwargs))
    except KeyError:  # one that it takes by any name
        return key_of_message(template, arguments.positional, args, kwargs)
    except _NO_KEY:
        return None


def key_of_message(template: str, positional: Sequence[str], args: msgspec.Raw, kwargs: msgspec.Raw) -> str | None:
    """Return the key of a call as it travels; None where an argument is not there, or not known to be.

    Args:
        template: of the key.
        positional: the names of the task's positional parameters, as far as they are known.
        args: a JSON array.
        kwargs: a JSON object.
    """
    names = fields_in(template)
    try:
        given = _dict_decoder.decode(kwargs) if kwargs != b"{}" else {}
        if positional and args != b"[]":
            given = dict(zip(positional, _list_decoder.decode(args), strict=False)) | given
        return key_of(template, {name: _any_decoder.decode(given[name]) for name in names})
    except _NO_KEY:
        return None
