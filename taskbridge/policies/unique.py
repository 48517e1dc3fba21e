"""Which calls are the same, and for how long only one of them is taken. Pure; the store keeps who was first."""

from __future__ import annotations

from ..clock import milliseconds
from ..definition import Definition
from ..errors import ConfigError
from ..message import Message
from ..needs import Same
from ..options import TaskOptions
from ..store import LAST_RESORT_MS
from .key import digest, in_utc


def sameness_of(definition: Definition, options: TaskOptions, message: Message) -> tuple[Same, ...]:
    """Return under which keys a call is looked up: the idempotency key first.

    Raises:
        ConfigError: ``unique_by`` names an argument that the task does not have.
    """
    found = []
    if options.idempotency_key:
        key = f"key:{definition.name}:{digest(options.idempotency_key)}"
        found.append(Same(key, "window", milliseconds(options.idempotency_window)))
    if options.debounce is not None:
        found.append(Same(_call(definition, options, message), "debounce", LAST_RESORT_MS))
    elif isinstance(options.unique, str):
        found.append(Same(_call(definition, options, message), options.unique, LAST_RESORT_MS))
    elif options.unique is not None:
        found.append(Same(_call(definition, options, message), "window", milliseconds(options.unique)))
    return tuple(found)


def checked_names(definition: Definition, options: TaskOptions) -> list[str]:
    """Return the arguments that make two calls the same.

    Raises:
        ConfigError: one that the task does not have.
    """
    known = definition.arguments.names
    for name in options.unique_by:
        if name not in known:
            raise ConfigError(f"{definition.name}: unique_by names {name!r}, which the task does not have")
    return list(options.unique_by) or known


def _call(definition: Definition, options: TaskOptions, message: Message) -> str:
    """The key of a call: its task and the arguments that count, decoded, with defaults filled in."""
    names = checked_names(definition, options)
    values = definition.arguments.values_of(names, message.args, message.kwargs)
    rest = () if options.unique_by else definition.arguments.rest_of(message.args, message.kwargs)
    return f"call:{definition.name}:{digest([*map(in_utc, values.values()), *rest])}"
