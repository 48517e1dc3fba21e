"""What each event counts. A few microseconds a task: three events, nine numbers.

Its spans are counted before it is: whoever sees the event counted finds them when they look again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ... import events
from ...bridge import Bridge
from ...errors import ConfigError
from .ledger import Ledger
from .rows import Row

#: A failure that is told without its exception says its name before a colon, such as that of a hard timeout.
_NAMED = re.compile(r"(?:^|: )([A-Za-z_]\w*): ")

#: What nobody has raised, by how its reason begins; a reason that begins otherwise is of no exception.
CAUSES = {"its worker": "WorkerLost", "no worker": "NoWorker"}
UNNAMED = "none"


class Listener:
    """Counts the events of one bridge.

    Args:
        bridge: whose tasks are known, and which brokers its backends have.
        ledger: where to count.
    """

    def __init__(self, bridge: Bridge, ledger: Ledger) -> None:
        self._bridge = bridge
        self._ledger = ledger
        self._brokers: dict[str, str] = {}

    def __call__(self, event: events.Event) -> None:
        count = COUNTS.get(type(event))
        if count is None:
            return
        backend, ledger = event.backend, self._ledger
        broker = self._brokers.get(backend)
        if broker is None:
            broker = self._brokers[backend] = self._broker_of(backend)
        try:
            with ledger.lock:
                key = (backend, broker, event.queue, event.task)
                row = ledger.rows.get(key)
                if row is None:
                    row = ledger.rows.add(key, declared=self._declares(event))
                count(row, event)
        except Exception as error:  # a full disk, a folder that is gone, a file that was written by others
            ledger.complain(error, self._bridge.clock.monotonic_s())

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


def _sent(row: Row, event: events.Sent) -> None:
    row.sent.inc(1)


def _received(row: Row, event: events.Received) -> None:
    row.received.inc(1)


def _started(row: Row, event: events.Started) -> None:
    row.waited.observe(event.waited_ms / 1000)
    for what, parked_ms in (("lock", event.parked_ms - event.throttled_ms), ("limit", event.throttled_ms)):
        if parked_ms:
            row.parked_for[what].observe(parked_ms / 1000)
    row.started.inc(1)


def _succeeded(row: Row, event: events.Succeeded) -> None:
    row.ran["succeeded"].observe(event.ran_ms / 1000)
    row.succeeded.inc(1)


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
    row.parked["lock" if event.how == "locked" else "limit"].inc(1)


def _repeated(row: Row, event: events.Repeated) -> None:
    row.repeats[event.verdict].inc(1)


def _claim_refused(row: Row, event: events.ClaimRefused) -> None:
    row.claims_refused.inc(1)


COUNTS: dict[type[events.Event], Callable[[Row, Any], None]] = {
    events.Sent: _sent,
    events.Received: _received,
    events.Started: _started,
    events.Succeeded: _succeeded,
    events.Retried: _retried,
    events.Failed: _failed,
    events.Dropped: _dropped,
    events.ParkedForRelease: _parked_for_release,
    events.Buried: _buried,
    events.Waiting: _waiting,
    events.Repeated: _repeated,
    events.ClaimRefused: _claim_refused,
}
