"""What each event counts. Three events and nine numbers a task, in two microseconds.

Its spans are counted before it is: whoever sees the event counted finds them when they look again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import Lock
from typing import Any

from ... import events
from ...bridge import Bridge
from ...errors import ConfigError
from .ledger import Ledger
from .rows import Row, Rows

#: A failure that is told without its exception says its name before a colon, such as that of a hard timeout.
_NAMED = re.compile(r"(?:^|: )([A-Za-z_]\w*): ")

#: What nobody has raised, by how its reason begins; a reason that begins otherwise is of no exception.
CAUSES = {"its worker": "WorkerLost", "no worker": "NoWorker"}
UNNAMED = "none"

#: What a message that is put aside waits for.
PARKED_FOR = {"locked": "lock", "throttled": "limit"}


#: Counts one event.
Count = Callable[[Any], None]


class Listener:
    """Counts the events of one bridge.

    Args:
        bridge: whose tasks are known, and which brokers its backends have.
        ledger: where to count.
    """

    def __init__(self, bridge: Bridge, ledger: Ledger) -> None:
        self._bridge = bridge
        self._ledger = ledger
        self._ready: dict[tuple[type[events.Event], str, str, str], Count] = {}
        self._rows: Rows | None = None

    def __call__(self, event: events.Event) -> None:
        ledger = self._ledger
        try:
            if ledger.rows is self._rows:  # this is no new fork
                count = self._ready.get((type(event), event.backend, event.queue, event.task))
                if count is not None:
                    count(event)
                    return
            self._count(event)
        except Exception as error:  # a full disk, a folder that is gone, a file that was written by others
            ledger.complain(error, self._bridge.clock.monotonic_s())

    def _count(self, event: events.Event) -> None:
        """Count what has no cells yet, or happens seldom; the lock is held while cells are made."""
        kind = type(event)
        if kind not in COUNTS and kind not in OFTEN:
            return
        with self._ledger.lock:
            rows = self._ledger.rows
            if rows is not self._rows:
                self._rows, self._ready = rows, {}
            key = (event.backend, self._broker_of(event.backend), event.queue, event.task)
            row = rows.get(key)
            if row is None:
                row = rows.add(key, declared=self._declares(event))
            if kind in COUNTS:
                COUNTS[kind](row, event)
                return
            count = OFTEN[kind](row, self._ledger.lock)
            if key in rows:  # those that are too many to be kept are found anew each time
                self._ready[kind, event.backend, event.queue, event.task] = count
        count(event)

    def _declares(self, event: events.Event) -> bool:
        definition = self._bridge.definitions.get(event.task)
        return definition is not None and definition.options.queue == event.queue

    def _broker_of(self, backend: str) -> str:
        try:
            return self._bridge.settings.backend_settings(backend).broker
        except ConfigError:  # a copy of a release with other backends
            return ""


def exception_of(error: BaseException | None, why: str) -> str:
    """Return the name of what a failure was."""
    if error is not None:
        return type(error).__name__
    for begins, name in CAUSES.items():
        if why.startswith(begins):
            return name
    found = _NAMED.search(why)
    return found[1] if found else UNNAMED


def _sent(row: Row, _: Lock) -> Count:
    return row.sent.counting()


def _received(row: Row, _: Lock) -> Count:
    return row.received.counting()


def _started(row: Row, making: Lock) -> Count:
    started = row.waited.observing(row.started)

    def count(event: events.Started) -> None:
        if event.parked_ms:
            with making:
                _parked(row, event)
        started(event.waited_ms / 1000)

    return count


def _parked(row: Row, event: events.Started) -> None:
    for what, parked_ms in (("lock", event.parked_ms - event.throttled_ms), ("limit", event.throttled_ms)):
        if parked_ms:
            row.parked_for[what].observe(parked_ms / 1000)


def _succeeded(row: Row, _: Lock) -> Count:
    succeeded = row.ran["succeeded"].observing(row.succeeded)
    return lambda event: succeeded(event.ran_ms / 1000)


def _retried(row: Row, event: events.Retried) -> None:
    if event.ran_ms:  # one that came too early did not run
        row.ran["retried" if event.counted else "rescheduled"].observe(event.ran_ms / 1000)
    if event.counted:
        row.retried[exception_of(None, event.why)].inc(1)
    else:
        row.rescheduled.inc(1)


def _failed(row: Row, event: events.Failed) -> None:
    if event.ran_ms:  # one whose arguments cannot be read did not
        row.ran["failed"].observe(event.ran_ms / 1000)
    row.failed[exception_of(event.error, event.why)].inc(1)


def _dropped(row: Row, event: events.Dropped) -> None:
    row.revoked[event.how].inc(1)


def _parked_for_release(row: Row, event: events.ParkedForRelease) -> None:
    row.rejected["unknown"].inc(1)


def _buried(row: Row, event: events.Buried) -> None:
    row.rejected["unreadable"].inc(1)


def _waiting(row: Row, event: events.Waiting) -> None:
    if event.how in PARKED_FOR:  # a delay is no wait for anything
        row.parked[PARKED_FOR[event.how]].inc(1)


def _repeated(row: Row, event: events.Repeated) -> None:
    row.repeats[event.verdict].inc(1)


def _shadowed(row: Row, event: events.Shadowed) -> None:
    row.shadows[event.how].inc(1)


def _claim_refused(row: Row, event: events.ClaimRefused) -> None:
    row.claims_refused.inc(1)


#: What happens to each task: makes what counts it, when it first does.
OFTEN: dict[type[events.Event], Callable[[Row, Lock], Count]] = {
    events.Sent: _sent,
    events.Received: _received,
    events.Started: _started,
    events.Succeeded: _succeeded,
}

#: What does not; counted with the lock held.
COUNTS: dict[type[events.Event], Callable[[Row, Any], None]] = {
    events.Retried: _retried,
    events.Failed: _failed,
    events.Dropped: _dropped,
    events.ParkedForRelease: _parked_for_release,
    events.Buried: _buried,
    events.Waiting: _waiting,
    events.Repeated: _repeated,
    events.Shadowed: _shadowed,
    events.ClaimRefused: _claim_refused,
}
