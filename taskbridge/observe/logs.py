"""The log of a process that runs tasks: one line per event, and in each line whose it is."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from types import TracebackType

import msgspec

from ..events import Event
from .formats import EVENTS, JsonFormatter, PlainFormatter, TaskFilter
from .text import without_passwords
from .wording import level_of, line_of, name_of

__all__ = ["JsonFormatter", "PlainFormatter", "TaskFilter", "dress", "log_event", "set_up_logs"]

log = logging.getLogger(EVENTS)

#: What the engines log of each task is said by ours; ask for it with --log-level DEBUG.
LOUD = {
    "celery": logging.ERROR,
    "celery.app.trace": logging.CRITICAL,
    "dramatiq": logging.CRITICAL,
    "kombu": logging.ERROR,
}

#: The packages around a task: of what runs it, a traceback says nothing.
OUTSIDE = frozenset({"celery", "dramatiq", "taskbridge", "taskbridge_celery", "taskbridge_dramatiq"})

FORMATS: dict[str, type[logging.Formatter]] = {"plain": PlainFormatter, "json": JsonFormatter}


def set_up_logs(level: str, form: str = "plain") -> None:
    """Write the process's log to standard error.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        form: plain or json. Defaults to plain.
    """
    handler = _to_standard_error(form)
    dress([handler], form)
    logging.basicConfig(level=level, handlers=[handler])
    if form == "json":
        logging.captureWarnings(True)
    if level != "DEBUG":
        for name, least in LOUD.items():
            logging.getLogger(name).setLevel(least)


def dress(handlers: Iterable[logging.Handler], form: str = "") -> None:
    """Have handlers know whose each record is; ``form`` is how they write it, and empty leaves that to them."""
    for handler in handlers:
        if not any(isinstance(known, TaskFilter) for known in handler.filters):
            handler.addFilter(TaskFilter())
        if form:
            handler.setFormatter(FORMATS[form]())


class Lines(logging.Handler):
    """Hands each entry to the system whole, so that processes that write to the same file do not mix theirs.

    Args:
        file: the descriptor it writes to.
        encoding: of the text.
    """

    def __init__(self, file: int, encoding: str) -> None:
        super().__init__()
        self._file = file
        self._encoding = encoding

    def emit(self, record: logging.LogRecord) -> None:
        try:
            left = f"{self.format(record)}\n".encode(self._encoding, "backslashreplace")
            while left:
                left = left[os.write(self._file, left) :]
        except Exception:
            self.handleError(record)


def log_event(event: Event) -> None:
    """Log an event, if its level is heard."""
    level = level_of(event)
    if not log.isEnabledFor(level):
        return
    told = msgspec.structs.asdict(event)
    fields = {"event": name_of(event), "message_id": told.pop("id"), **told}
    del fields["at_ms"]
    if "ran_ms" in fields:
        fields["ran_ms"] = round(fields["ran_ms"], 3)
    if "why" in fields:
        fields["why"] = without_passwords(fields["why"])
    error = fields.pop("error", None)
    raised = (type(error), error, _from_the_task_on(error)) if error else None
    record = log.makeRecord(log.name, level, __file__, 0, line_of(event), (), raised)
    record.__dict__.update(fields)
    log.handle(record)


def _from_the_task_on(error: BaseException) -> TracebackType | None:
    """Return an error's traceback without what leads to every task."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in OUTSIDE:
        trace = trace.tb_next
    return trace or error.__traceback__


def _to_standard_error(form: str) -> logging.Handler:
    try:
        return Lines(sys.stderr.fileno(), "utf-8" if form == "json" else sys.stderr.encoding)
    except (AttributeError, OSError, ValueError):  # it is no file of the system's
        return logging.StreamHandler()
