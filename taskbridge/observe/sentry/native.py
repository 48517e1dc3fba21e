"""What the SDK's own integrations for the engines, and the engines' logs, tell of messages that are ours: dropped.

Each of ours is told of once, by us. Tasks that are not ours keep the reports of the SDK. What an engine tells of ours
is recognised by the error that our run has just ended with in the same thread, and its transaction by being the one
that our run stands in. Source: sentry_sdk 2 ``integrations/celery``, ``integrations/dramatiq.py``.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import ignore_logger

from ...errors import TaskbridgeError
from ...outcome import Ended

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

#: What the integrations say that they are, of errors and of transactions.
MECHANISMS = frozenset({"celery", "dramatiq"})
ORIGINS = frozenset({"auto.queue.celery", "auto.queue.dramatiq"})

#: Where the engines log a failure that they have caught, at ERROR: the SDK would make a report of that.
LOGGERS = frozenset({"celery.app.trace", "dramatiq.worker.WorkerThread"})

#: Where we do.
OWN_LOGGER = "taskbridge.tasks"


class Here(threading.local):
    """What this thread's last run of ours has left to the engine around it.

    ``failure`` tells the error that it ended with from others, without keeping it alive, and has the name of the task;
    None where it did not fail.
    """

    failure: tuple[tuple[int, str, str], str] | None = None
    transaction: str = ""


here = Here()
_lock = threading.Lock()
_listening = False


def silence() -> None:
    """Drop from now on, in this process and its forks; twice is as good as once."""
    global _listening  # noqa: PLW0603 - the SDK's global scope is one to a process
    with _lock:
        if not _listening:
            _listening = True
            ignore_logger(OWN_LOGGER)
            sentry_sdk.get_global_scope().add_event_processor(_kept)


def around() -> None:
    """A run of ours begins in this thread; it may stand in a transaction of the SDK's integration for the engine."""
    span = sentry_sdk.get_current_span()
    transaction = span.containing_transaction if span is not None else None
    here.transaction = transaction.span_id if transaction is not None and transaction.origin in ORIGINS else ""


def failed(task: str, outcome: Ended) -> None:
    """It has failed for good, and the engine is told of it next."""
    error = outcome.error
    here.failure = _marks(error) if error else (0, TaskbridgeError.__name__, outcome.why), task


def _kept(event: Event, hint: Hint) -> Event | None:
    if event.get("type") == "transaction":
        trace = event.get("contexts", {}).get("trace") or {}
        return None if here.transaction and trace.get("span_id") == here.transaction else event
    if here.failure is None or not (_is_engines(event, hint) and _is_ours(hint, *here.failure)):
        return event
    DedupeIntegration.reset_last_seen()  # it has just seen the error, and would take our report for a repeat
    return None


def _is_engines(event: Event, hint: Hint) -> bool:
    record = hint.get("log_record")
    if record is not None:
        return record.name in LOGGERS
    values = (event.get("exception") or {}).get("values") or []
    return any((one.get("mechanism") or {}).get("type") in MECHANISMS for one in values)


def _is_ours(hint: Hint, failure: tuple[int, str, str], task: str) -> bool:
    exc_info: Any = hint.get("exc_info")
    error = exc_info[1] if exc_info else None
    if error is not None and failure in (_marks(error), (0, *_marks(error)[1:])):
        return True
    told = getattr(hint.get("log_record"), "data", None)  # Celery logs a copy of an error that cannot be pickled
    return isinstance(told, dict) and told.get("name") == task


def _marks(error: BaseException) -> tuple[int, str, str]:
    try:
        text = str(error)
    except Exception:
        text = "it cannot say what it is"
    return id(error), type(error).__name__, text
