"""How an entry of the log looks: plain text, or JSON, one object a line; and whose it is.

An entry that a task writes, with any logger, has the task's message id, name and attempt. Whatever a record holds, an
entry steers no terminal, is not taken for two, and shows no password of a URL.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec

from ..current import running_here
from .text import safe, without_passwords

#: The logger of the events; what it says begins with the task already.
EVENTS = "taskbridge.tasks"

#: What each record has first; all else is a field.
_FIRST = vars(logging.makeLogRecord({}))
_STANDARD = frozenset(_FIRST) | {"asctime", "message", "taskName"}

#: Of an entry that no task writes, JSON leaves these out.
_OF_A_TASK = frozenset({"message_id", "task", "attempt"})
_NOBODY = ("", 0)

_NOT_PRINTABLE = re.compile(r"[^ -~]")


class TaskFilter(logging.Filter):
    """Gives each record ``message_id``, ``task`` and ``attempt`` of the task that runs here; else empty, and 0.

    For handlers of your own, so that their format may name them; what a record has already stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        identify(record)
        return True


class PlainFormatter(logging.Formatter):
    """A line for people; what goes on below it, such as a traceback, is indented."""

    _second = ("", 0)

    def format(self, record: logging.LogRecord) -> str:
        identify(record)
        fields = record.__dict__
        whose = ""
        if fields["task"] and record.name != EVENTS:
            whose = f"{fields['task']} ({fields['message_id']}, attempt {fields['attempt']}): "
        text = _said(record)
        text = f"{self._time(record)} {record.process} {record.levelname:<7} {record.name}: {whose}{text}"
        text = "\n".join([text, *_below(self, record).values()])
        return safe(text, lines=True).replace("\n", "\n  ")

    def _time(self, record: logging.LogRecord) -> str:
        """Return the local time; that of the second is written once."""
        text, second = self._second
        if second != int(record.created):
            second = int(record.created)
            text = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
            self._second = text, second
        return f"{text},{int(record.msecs):03d}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``logger``, ``process``, ``message``, then what else is told.

    The fields of an event, or what a record was given as ``extra``, by their names; ``exception`` is a traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        identify(record)
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": _said(record),
        }
        for name, value in islice(record.__dict__.items(), len(_FIRST), None):
            if name in _STANDARD or (name in _OF_A_TASK and value in _NOBODY):
                continue
            fields[f"{name}_" if name in fields else name] = value
        fields |= _below(self, record)
        return _encoded(fields)


def identify(record: logging.LogRecord) -> None:
    """Say in a record whose it is; what it says already stays."""
    me, fields = running_here(), record.__dict__
    fields.setdefault("message_id", me.id if me else "")
    fields.setdefault("task", me.task if me else "")
    fields.setdefault("attempt", me.attempt if me else 0)


def _said(record: logging.LogRecord) -> str:
    try:
        return without_passwords(record.getMessage())
    except Exception:  # arguments that do not fit: the entry is worth more than its form
        return f"{_shown(record.msg)} with {_shown(record.args)}"


def _below(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, str]:
    """Return what stands below a line: the traceback, the stack."""
    below = {}
    if record.exc_info and record.exc_info[0]:
        below["exception"] = without_passwords(formatter.formatException(record.exc_info))
    elif record.exc_text:  # it came from another process
        below["exception"] = without_passwords(record.exc_text)
    if record.stack_info:
        below["stack"] = formatter.formatStack(record.stack_info)
    return below


def _encoded(fields: dict[str, Any]) -> str:
    try:
        encoded = _encoder.encode(fields)
    except Exception:  # one value is odd; the others are not
        encoded = _encoder.encode({safe(name): _plain(value) for name, value in fields.items()})
    if b"://" in encoded:
        encoded = _encoder.encode(_without_passwords(msgspec.json.decode(encoded)))
    text = encoded.decode()
    return text if text.isprintable() else _NOT_PRINTABLE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    """JSON leaves letters as they are, but for what could steer a terminal or end a line."""
    letter = found[0]
    if letter.isprintable():
        return letter
    halves = letter.encode("utf-16-be")
    return "".join(f"\\u{halves[at : at + 2].hex()}" for at in range(0, len(halves), 2))


def _without_passwords(value: Any) -> Any:
    if isinstance(value, str):
        return without_passwords(value)
    if isinstance(value, list):
        return [_without_passwords(one) for one in value]
    if isinstance(value, dict):
        return {name: _without_passwords(one) for name, one in value.items()}
    return value


def _plain(value: object) -> object:
    try:
        return msgspec.Raw(_encoder.encode(value))
    except Exception:
        return safe(_shown(value))


def _shown(value: object) -> str:
    """Return how a value of any kind shows itself, or that it cannot."""
    try:
        return repr(value) if not isinstance(value, str) else value
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"


_encoder = msgspec.json.Encoder(enc_hook=_shown)
