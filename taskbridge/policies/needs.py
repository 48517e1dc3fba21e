"""What a message must have before it may run, by its task's locks and limits. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import msgspec

from ..definition import Definition
from ..errors import ConfigError, DecodeError
from ..message import Message
from ..needs import NeedsLock, NeedsTokens
from ..options import LockPolicy, RatePolicy, TaskOptions

Needs = tuple[tuple[NeedsLock, ...], tuple[NeedsTokens, ...]]

NOTHING: Needs = ((), ())

Need = TypeVar("Need", NeedsLock, NeedsTokens)


def needs_of(definition: Definition, message: Message) -> Needs:
    """Return the locks and the tokens; each once, though two templates give the same key.

    A message whose arguments cannot be read, or that this release does not know, needs nothing: it does not run.
    """
    options = definition.options
    if not options.lock and not options.rate_limit:
        return NOTHING
    known_only = options.unknown_args != "drop"
    try:
        values = definition.arguments.values_of(
            definition.key_fields, message.args, message.kwargs, known_only=known_only
        )
    except (DecodeError, msgspec.DecodeError):
        return NOTHING
    locks = _each_once([one.need(values) for one in options.locks]) if options.lock else ()
    return locks, _each_once([one.need(values) for one in options.rate_limits]) if options.rate_limit else ()


def checked(definition: Definition) -> Definition:
    """Return a task whose templates fit its arguments and are looked through, and whose limits have names.

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
    fields = dict.fromkeys(name for one in _templates(options) for name in one.fields())
    options = replace(options, lock=options.locks, rate_limit=tuple(limits))
    return msgspec.structs.replace(definition, options=options, key_fields=tuple(fields))


def _each_once(needs: list[Need]) -> tuple[Need, ...]:
    return tuple({need.key: need for need in needs}.values()) if len(needs) > 1 else tuple(needs)


def _refuse_twice(keys: list[str], task: str, option: str) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"{task}: {option}: {key!r} is named twice; leave one out")


def _templates(options: TaskOptions) -> list[LockPolicy | RatePolicy]:
    return [*options.locks, *options.rate_limits]
