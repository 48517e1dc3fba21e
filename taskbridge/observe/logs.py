"""One line per thing that an operator should know of, on standard error."""

from __future__ import annotations

import logging

from ..events import ClaimRefused, Dropped, Event, Failed, ParkedForRelease, Retried
from .text import safe

log = logging.getLogger("taskbridge.tasks")

#: The engines log each success at INFO, twice the work of a small task; ask for it with --log-level DEBUG.
LOUD = ("celery", "kombu", "dramatiq")


class SafeFormatter(logging.Formatter):
    """Writes what a task or a producer has named without letting it steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return safe(super().format(record), lines=True)


def set_up_logs(level: str) -> None:
    """Write the process's log to standard error.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(asctime)s %(process)d %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    if level != "DEBUG":
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL if name == "dramatiq" else logging.ERROR)


def log_event(event: Event) -> None:
    """Log what did not go straight."""
    where = f"{event.task} ({event.id}, attempt {event.attempt})"
    match event:
        case Failed():
            log.error("%s is dead: %s", where, event.why)
        case Retried(counted=True):
            log.warning("%s failed and runs again in %.1f s: %s", where, event.after_ms / 1000, event.why)
        case ParkedForRelease():
            log.warning("%s waits for a newer worker: %s", where, event.why)
        case Dropped():
            log.info("%s is %s: %s", where, event.how, event.why)
        case ClaimRefused():
            log.warning("%s had lost its claim; its result was refused", where)
