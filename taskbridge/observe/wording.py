"""What the log says of each event: its level, its name, and a line. Pure.

What ended a message is at INFO, a step on its way at DEBUG, what did not go straight above. So a worker at INFO, the
default, writes one line for each message that it ends.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import msgspec

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
    Shadowed,
    Started,
    Succeeded,
    Waiting,
)
from .text import safe, without_passwords

#: What a message waits for in the store.
_FOR = {"locked": "the lock", "throttled": "the limit", "paused": "a pause to end:", "delayed": "its time to come"}


def level_of(event: Event) -> int:
    """Return the level of an event's line."""
    kind = type(event)
    quiet = _QUIET.get(kind)
    return logging.DEBUG if quiet and quiet(event) else _LEVELS.get(kind, logging.DEBUG)


def name_of(event: Event) -> str:
    """Return an event's name as logs have it: ``parked_for_release``."""
    kind = type(event)
    name = _NAMES.get(kind)
    if name is None:
        name = _NAMES[kind] = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()
    return name


def line_of(event: Event) -> str:
    """Return the line: whose it is, then what happened. It is one line, whatever names and errors are made of."""
    say = _LINES.get(type(event))
    said = say(event) if say else f"is {name_of(event)}"
    text = f"{event.task} ({event.id}, attempt {event.attempt}) {said}" if event.task else f"{event.id} {said}"
    return text if text.isprintable() and "://" not in text else safe(without_passwords(text))


def fields_of(event: Event) -> dict[str, Any]:
    """Return an event's fields, as logs call them; its error is no field, but an exception."""
    fields = {"event": name_of(event), "message_id": event.id, **msgspec.structs.asdict(event)}
    del fields["id"], fields["at_ms"]
    fields.pop("error", None)
    if "why" in fields:
        fields["why"] = without_passwords(fields["why"])
    return fields


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
    Shadowed: logging.INFO,
    Retried: logging.WARNING,
    ParkedForRelease: logging.WARNING,
    ClaimRefused: logging.WARNING,
    Failed: logging.ERROR,
    Buried: logging.ERROR,
}

#: Those of a kind that are only a step on their way.
_QUIET: dict[type[Event], Callable[[Any], bool]] = {
    Retried: lambda event: not event.counted,  # a poll, or the far side wants a pause: each may be many
    Shadowed: lambda event: event.how == "unsent",  # whoever could not send says so once for all
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
    Waiting: lambda event: f"waits for {_FOR.get(event.how, event.how)} {event.key}".rstrip(),
    Repeated: lambda event: f"is a copy that was recognised: {event.verdict}",
    Shadowed: lambda event: f"has a copy on {event.backend}, {event.how}: {event.why}",
    ClaimRefused: lambda event: f"had lost its claim; its result was refused: {event.why}",
    Buried: lambda event: f"is no message and is buried, from {event.queue} of {event.backend}: {event.why}",
}

_NAMES: dict[type[Event], str] = {}
