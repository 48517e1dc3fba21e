"""How an entry of the log looks: plain text, or JSON, one object a line; and whose it is.

An entry that a task writes, with any logger, has the task's message id, name and attempt. Whatever a record holds, an
entry steers no terminal, is not taken for two, and shows no password of a URL.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from ..current import running_here
from ..events import Event, Succeeded
from .text import safe, without_passwords
from .wording import fields_of, line_of

#: The logger of the events; what it says begins with the task already.
EVENTS = "taskbridge.tasks"

#: What each record has first; all else is a field.
_FIRST = vars(logging.makeLogRecord({}))
_STANDARD = frozenset(_FIRST) | {"asctime", "message", "taskName"}

#: Of an entry that no task writes, JSON leaves these out.
_OF_A_TASK = frozenset({"message_id", "task", "attempt"})
_NOBODY = ("", 0)

#: Such a name needs no quoting, steers nothing and has no password in it.
_PLAIN = re.compile(r"[\w.@+:-]+", re.ASCII)

_NOT_PRINTABLE = re.compile(r"[^ -~]")

#: How an instant ends, by its milliseconds: to write a number padded takes longer than all else of a time.
_ENDS_OF_UTC = tuple(f".{ms:03d}Z" for ms in range(1000))


class TaskFilter(logging.Filter):
    """Gives each record ``message_id``, ``task`` and ``attempt`` of the task that runs here; else empty, and 0.

    For handlers of your own, so that their format may name them; what a record has already stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        identify(record)
        return True


class PlainFormatter(logging.Formatter):
    """A line for people; what goes on below it, such as a traceback, is indented."""

    def format(self, record: logging.LogRecord) -> str:
        identify(record)
        fields = record.__dict__
        text = _said(record)
        if fields["task"] and record.name != EVENTS:
            text = f"{fields['task']} ({fields['message_id']}, attempt {fields['attempt']}): {text}"
        text = "\n".join([text, *_below(self, record).values()])
        text = f"{_local_time(int(record.created * 1000))} {record.process} {record.levelname:<7} {record.name}: {text}"
        return safe(text, lines=True).replace("\n", "\n  ")

    def of_event(self, event: Event, at_ms: int, process: int, level: str) -> str:
        """Return an event's entry without a record, which would cost more than all the rest."""
        return f"{_local_time(at_ms)} {process} {level:<7} {EVENTS}: {line_of(event)}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``logger``, ``process``, ``message``, then what else is told.

    The fields of an event, or what a record was given as ``extra``, by their names; ``exception`` is a traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        identify(record)
        told: dict[str, Any] = {
            "time": _utc(int(record.created * 1000)),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": _said(record),
        }
        for name, value in islice(record.__dict__.items(), len(_FIRST), None):
            if not (name in _STANDARD or (name in _OF_A_TASK and value in _NOBODY)):
                told[f"{name}_" if name in told else name] = value
        return _encoded(told | _below(self, record))

    def of_event(self, event: Event, at_ms: int, process: int, level: str) -> str:
        """Return an event's entry without a record, which would cost more than all the rest."""
        if type(event) is Succeeded and _is_plain(event.id):  # most lines are such a one: put together by hand
            pieces = _pieces(event.task, event.queue, event.backend, level, process)
            if pieces is not None:
                to_id, to_id_again, to_attempt = pieces
                id, attempt, ran_ms = event.id, event.attempt, event.ran_ms
                return (
                    f'{{"time":"{_utc(at_ms)}{to_id}{id}, attempt {attempt}) succeeded in {ran_ms:.1f}{to_id_again}{id}'
                    f'{to_attempt}{attempt},"ran_ms":{ran_ms}}}'
                )
        ours = {"time": _utc(at_ms), "level": level, "logger": EVENTS, "process": process, "message": line_of(event)}
        return _encoded(ours | fields_of(event))


def identify(record: logging.LogRecord) -> None:
    """Say in a record whose it is; what it says already stays."""
    me, fields = running_here(), record.__dict__
    fields.setdefault("message_id", me.id if me else "")
    fields.setdefault("task", me.task if me else "")
    fields.setdefault("attempt", me.attempt if me else 0)


def _is_plain(text: str) -> bool:
    """Whether a text stands in JSON as it is, and is no URL."""
    return text.isascii() and (text.encode().isalnum() or _PLAIN.fullmatch(text) is not None)  # bytes are soon seen


@lru_cache(maxsize=1024)
def _pieces(task: str, queue: str, backend: str, level: str, process: int) -> tuple[str, str, str] | None:
    """Return what stands between time, id, id and attempt in the line of a task that has succeeded.

    None where a name would have to be looked through.
    """
    if not all(map(_is_plain, (task, queue, backend))):
        return None
    return (
        f'","level":"{level}","logger":"{EVENTS}","process":{process},"message":"{task} (',
        ' ms","event":"succeeded","message_id":"',
        f'","task":"{task}","queue":"{queue}","backend":"{backend}","attempt":',
    )


@lru_cache(maxsize=1)
def _local_time(at_ms: int) -> str:
    return f"{_local_second(at_ms // 1000)},{at_ms % 1000:03d}"


@lru_cache(maxsize=1)
def _utc(at_ms: int) -> str:
    at_s, ms = divmod(at_ms, 1000)
    return _utc_second(at_s) + _ENDS_OF_UTC[ms]


@lru_cache(maxsize=1)
def _utc_second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1)
def _local_second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


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
        return {without_passwords(name): _without_passwords(one) for name, one in value.items()}
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
