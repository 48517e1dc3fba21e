"""What a message must have before it may run, by its task's locks and limits. Pure."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from ..definition import Definition
from ..errors import ConfigError, DecodeError
from ..message import Message
from ..needs import NeedsLock, NeedsTokens
from ..options import LockPolicy, RatePolicy, TaskOptions

Needs = tuple[tuple[NeedsLock, ...], tuple[NeedsTokens, ...]]

NOTHING: Needs = ((), ())


def needs_of(definition: Definition, message: Message) -> Needs:
    """Return the locks and the tokens; each once, though two templates give the same key.

    A message whose arguments cannot be read, or that this release does not know, needs nothing: it does not run.
    """
    options = definition.options
    if not options.lock and not options.rate_limit:
        return NOTHING
    fields = {name for one in _templates(options) for name in one.fields()}
    try:
        if definition.options.unknown_args != "drop" and definition.arguments.unknown(message.kwargs):
            return NOTHING
        values = definition.arguments.values_of(fields, message.args, message.kwargs) if fields else {}
    except (DecodeError, msgspec.DecodeError):
        return NOTHING
    locks = {need.key: need for need in (one.need(values) for one in options.locks)}
    rates = {need.key: need for need in (one.need(values) for one in options.rate_limits)}
    return tuple(locks.values()), tuple(rates.values())


def checked(definition: Definition) -> Definition:
    """Return a task whose templates fit its arguments, and whose limits have names.

    Raises:
        ConfigError: a template names an argument that the task does not have, two of them are one, or a limit without
            a name cannot have the task's.
    """
    options, names = definition.options, definition.arguments.names
    if not options.lock and not options.rate_limit:
        return definition
    for one in _templates(options):
        one.check(names, definition.name)
    _refuse_twice([one.key for one in options.locks], definition.name, "lock")
    limits = [
        one.named(definition.name if not n else f"{definition.name}#{n + 1}")
        for n, one in enumerate(options.rate_limits)
    ]
    _refuse_twice([f"{one.name} {one.key}" for one in limits], definition.name, "rate_limit")
    return msgspec.structs.replace(definition, options=replace(options, rate_limit=tuple(limits)))


def _refuse_twice(keys: list[str], task: str, option: str) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"{task}: {option}: {key!r} is named twice; leave one out")


def _templates(options: TaskOptions) -> list[LockPolicy | RatePolicy]:
    return [*options.locks, *options.rate_limits]
