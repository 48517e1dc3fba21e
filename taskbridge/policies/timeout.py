"""Decide how long an attempt may take: by its message, else its task, else the settings; and who cannot keep that.

Pure: no clock, no signals. Spans are milliseconds, 0 is no limit. ``alarm`` keeps the soft one from inside, the
supervisor the hard one from outside.
"""

from __future__ import annotations

import msgspec

from ..backend import Capabilities
from ..clock import Span, milliseconds
from ..definition import Definitions
from ..errors import ConfigError, NotSupported
from ..message import Message
from ..options import AS_THE_SETTINGS_MS, TaskOptions, Timeouts


class Overdue(msgspec.Struct, frozen=True, array_like=True):
    """What a hard timeout leads to, said before the task runs: the process that knows its policy will be dead.

    ``state`` is DELAYED, READY or DEAD, as in ``store.Finish``.
    """

    task: str
    queue: str
    attempt: int
    state: str
    counted: bool
    due_ms: int
    why: str


def timeouts_for(message: Message, options: TaskOptions, default: Timeouts) -> Timeouts:
    """Return how long this attempt may take."""
    declared = options.timeouts
    return Timeouts(
        soft_ms=_first(message.timeout_ms, declared.soft_ms, default.soft_ms),
        hard_ms=_first(message.hard_timeout_ms, declared.hard_ms, default.hard_ms),
    )


def stamps(asked: TaskOptions, declared: TaskOptions) -> Timeouts:
    """Return what a message says of timeouts: only what this call changes, so that a newer release's options count."""
    return Timeouts(
        soft_ms=_change(asked.timeout, declared.timeout),
        hard_ms=_change(asked.hard_timeout, declared.hard_timeout),
    )


def refuse_unkept(timeouts: Timeouts, kept: Capabilities, task: str, where: str) -> None:
    """Refuse timeouts that are not kept here.

    Args:
        timeouts: those of the task or of the message.
        kept: what is kept here.
        task: whose they are.
        where: what would run it, for the error.

    Raises:
        NotSupported: one of them is not.
    """
    asked = {"timeout": timeouts.soft_ms * (not kept.soft_timeout)}
    asked["hard_timeout"] = timeouts.hard_ms * (not kept.hard_timeout)
    for option, ms in asked.items():
        if ms:
            raise NotSupported(
                f"{where} cannot keep the {option} of {ms / 1000:g} s of {task}: "
                f"run it under `taskbridge worker`, or without a {option}"
            )


def refuse_tasks(definitions: Definitions, default: Timeouts, kept: Capabilities, where: str) -> None:
    """Refuse tasks whose timeouts are not kept here, the settings' defaults included.

    Raises:
        NotSupported: one is not.
        ConfigError: a task's own timeout is above the settings' hard one, which would always win.
    """
    for task, definition in definitions.items():
        timeouts = timeouts_for(Message(id="", task=task, queue=""), definition.options, default)
        if 0 < timeouts.hard_ms < timeouts.soft_ms:
            raise ConfigError(
                f"{task}: its timeout is {timeouts.soft_ms / 1000:g} s and its hard_timeout "
                f"{timeouts.hard_ms / 1000:g} s, one of them by the settings: give the task both"
            )
        refuse_unkept(timeouts, kept, task, where)


def _first(asked_ms: int, declared_ms: int, default_ms: int) -> int:
    if asked_ms == AS_THE_SETTINGS_MS:
        return default_ms
    return asked_ms or declared_ms or default_ms


def _change(asked: Span | None, declared: Span | None) -> int:
    if asked == declared:
        return 0
    return AS_THE_SETTINGS_MS if asked is None else milliseconds(asked)
