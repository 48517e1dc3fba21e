"""The log of a process that runs tasks: one line per event, and in each line whose it is."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

from ..errors import from_the_task_on
from ..events import Event, Failed, Succeeded
from .formats import EVENTS, JsonFormatter, PlainFormatter, TaskFilter
from .lines import Lines
from .wording import fields_of, level_of, line_of

__all__ = ["JsonFormatter", "PlainFormatter", "TaskFilter", "dress", "log_event", "set_up_logs"]

log = logging.getLogger(EVENTS)

#: What the engines log of each task is said by ours; ask for it with --log-level DEBUG.
LOUD = {
    "celery": logging.ERROR,
    "celery.app.trace": logging.CRITICAL,
    "dramatiq": logging.CRITICAL,
    "kombu": logging.ERROR,
}

#: Where the lines of this process wait for one another, if they do.
_gathering: Lines | None = None

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


def gather(handlers: Iterable[logging.Handler], server: Any = None) -> None:
    """Let lines of events wait for others in this process, which then ends by ``logging.shutdown``.

    Args:
        handlers: whose lines.
        server: the store's, which calls its ``meanwhile`` while it is waited for. Defaults to none.
    """
    global _gathering  # noqa: PLW0603 - a process has one log
    for handler in handlers:
        if isinstance(handler, Lines):
            handler.gather()
            _gathering = handler
            if server is not None:
                server.meanwhile = handler.meanwhile


def log_event(event: Event) -> None:
    """Log an event, if its level is heard."""
    if type(event) is Succeeded and _gathering is not None and _gathering.tell_on(event):
        return
    level = level_of(event)
    if not log.isEnabledFor(level):
        return
    error = event.error if type(event) is Failed else None
    if error is None and (lines := _all_that_hears()) and lines.tell(event, level):
        return
    raised = (type(error), error, from_the_task_on(error)) if error else None
    record = log.makeRecord(log.name, level, __file__, 0, line_of(event), (), raised)
    record.__dict__.update(fields_of(event))
    log.handle(record)


def _all_that_hears() -> Lines | None:
    """Return our handler where no other handler or filter is told of events: then nobody needs a record."""
    handlers, between = logging.root.handlers, log.parent
    if len(handlers) != 1 or log.filters or log.handlers or not log.propagate:
        return None
    if between is not logging.root and (between is None or between.handlers or not between.propagate):
        return None
    return handlers[0] if type(handlers[0]) is Lines else None


def _to_standard_error(form: str) -> logging.Handler:
    try:
        return Lines(sys.stderr.fileno(), "utf-8" if form == "json" else sys.stderr.encoding)
    except (AttributeError, OSError, ValueError):  # it is no file of the system's
        return logging.StreamHandler()
