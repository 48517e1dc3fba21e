"""What the log says of each event: its level, its name, and a line. Pure.

What ended a message is at INFO, a step on its way at DEBUG, what did not go straight above. So a worker at INFO, the
default, writes one line for each message that it ends.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from ..events import (
    Buried,
    ClaimRefused,
    Dropped,
    Event,
    Failed,
    ParkedForRelease,
    Received,
    Repeated,
    Retried,
    Sent,
    Started,
    Succeeded,
    Waiting,
)
from .text import safe, without_passwords

#: What a message waits for in the store.
_FOR = {"locked": "the lock", "throttled": "the limit"}


def level_of(event: Event) -> int:
    """Return the level of an event's line."""
    if isinstance(event, Retried) and not event.counted:  # a poll, or the far side wants a pause: each may be many
        return logging.DEBUG
    return _LEVELS.get(type(event), logging.DEBUG)


def name_of(event: Event) -> str:
    """Return an event's name as logs have it: ``parked_for_release``."""
    kind = type(event)
    if kind not in _NAMES:
        _NAMES[kind] = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()
    return _NAMES[kind]


def line_of(event: Event) -> str:
    """Return the line: whose it is, then what happened. It is one line, whatever names and errors are made of."""
    say = _LINES.get(type(event))
    said = say(event) if say else f"is {name_of(event)}"
    whose = f"{event.task} ({event.id}, attempt {event.attempt})" if event.task else event.id
    return safe(f"{whose} {without_passwords(said)}")


def _sent(event: Sent) -> str:
    due = f", due in {event.delay_ms / 1000:.1f} s" if event.delay_ms else ""
    return f"is sent to {event.queue} of {event.backend}{due}"


def _started(event: Started) -> str:
    parked = f", and {event.parked_ms} ms for a {event.parked_for}" if event.parked_for else ""
    return f"starts after {event.waited_ms} ms in the queue{parked}"


def _retried(event: Retried) -> str:
    again = f"runs again in {event.after_ms / 1000:.1f} s"
    return f"failed and {again}: {event.why}" if event.counted else f"{again}, no attempt is spent: {event.why}"


_LEVELS: dict[type[Event], int] = {
    Succeeded: logging.INFO,
    Dropped: logging.INFO,
    Repeated: logging.INFO,
    Retried: logging.WARNING,
    ParkedForRelease: logging.WARNING,
    ClaimRefused: logging.WARNING,
    Failed: logging.ERROR,
    Buried: logging.ERROR,
}

_LINES: dict[type[Event], Callable[[Any], str]] = {
    Sent: _sent,
    Received: lambda event: f"is received from {event.queue} of {event.backend}",
    Started: _started,
    Succeeded: lambda event: f"succeeded in {event.ran_ms:.1f} ms",
    Retried: _retried,
    Failed: lambda event: f"is dead: {event.why}",
    Dropped: lambda event: f"is {event.how}: {event.why}",
    ParkedForRelease: lambda event: f"waits for a newer worker: {event.why}",
    Waiting: lambda event: f"waits for {_FOR.get(event.how, event.how)} {event.key}",
    Repeated: lambda event: f"is a copy that was recognised: {event.verdict}",
    ClaimRefused: lambda event: f"had lost its claim; its result was refused: {event.why}",
    Buried: lambda event: f"is no message and is buried, from {event.queue} of {event.backend}: {event.why}",
}

_NAMES: dict[type[Event], str] = {}
