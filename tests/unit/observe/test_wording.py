"""One line per event: at which level, and what it says."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge import events
from taskbridge.events import (
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
from taskbridge.observe.wording import level_of, line_of, name_of

WHO: dict[str, Any] = {"id": "m", "task": "bank.book", "queue": "ledger", "backend": "new", "attempt": 2}

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40

SAID = [
    (Sent(**WHO), DEBUG, "sent", "is sent to ledger of new"),
    (Sent(**WHO, delay_ms=1_500), DEBUG, "sent", "is sent to ledger of new, due in 1.5 s"),
    (Received(**WHO), DEBUG, "received", "is received from ledger of new"),
    (Started(**WHO, waited_ms=12), DEBUG, "started", "starts after 12 ms in the queue"),
    (
        Started(**WHO, waited_ms=12, parked_ms=300, parked_for="lock"),
        *(DEBUG, "started", "starts after 12 ms in the queue, and 300 ms for a lock"),
    ),
    (Succeeded(**WHO, ran_ms=12.34), INFO, "succeeded", "succeeded in 12.3 ms"),
    (Retried(**WHO, after_ms=1_500, why="busy"), WARNING, "retried", "failed and runs again in 1.5 s: busy"),
    (
        Retried(**WHO, after_ms=5_000, counted=False, why="not yet"),
        *(DEBUG, "retried", "runs again in 5.0 s, no attempt is spent: not yet"),
    ),
    (Failed(**WHO, why="no route"), ERROR, "failed", "is dead: no route"),
    (Dropped(**WHO, how="expired", why="too late"), INFO, "dropped", "is expired: too late"),
    (Waiting(**WHO, how="locked", key="user:7"), DEBUG, "waiting", "waits for the lock user:7"),
    (Waiting(**WHO, how="throttled", key="sms"), DEBUG, "waiting", "waits for the limit sms"),
    (ParkedForRelease(**WHO, why="no task"), WARNING, "parked_for_release", "waits for a newer worker: no task"),
    (Repeated(**WHO, verdict="settled"), INFO, "repeated", "is a copy that was recognised: settled"),
    (Shadowed(**WHO, how="ran", why="agreed"), INFO, "shadowed", "has a copy on new, ran: agreed"),
    (Shadowed(**WHO, how="unsent", why="away"), DEBUG, "shadowed", "has a copy on new, unsent: away"),
    (
        ClaimRefused(**WHO, why="refused"),
        *(WARNING, "claim_refused", "had lost its claim; its result was refused: refused"),
    ),
]


@pytest.mark.parametrize(("event", "level", "name", "said"), SAID)
def test_each_event_has_a_line(event: Event, level: int, name: str, said: str):
    """With whose it is. What ended a message is heard at INFO, a step on its way at DEBUG, trouble above."""
    assert (level, name, f"bank.book (m, attempt 2) {said}") == (level_of(event), name_of(event), line_of(event))


def test_what_is_no_message_has_no_task():
    """It is called by the name it has among the dead letters."""
    buried = Buried(id="raw-7", task="", queue="ledger", backend="new", why="no JSON")

    assert "raw-7 is no message and is buried, from ledger of new: no JSON" == line_of(buried)
    assert (ERROR, "buried") == (level_of(buried), name_of(buried))


def test_no_event_is_forgotten():
    """Each kind of the package is worded above, but for the one that is no message."""
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)}

    assert kinds - {Event, Buried} == {type(event) for event, *_ in SAID}


def test_an_event_of_another_package_has_a_line():
    """By its name, where nobody floods a log with it."""

    class PaidOut(Event, frozen=True, kw_only=True):
        pass

    assert (DEBUG, "paid_out") == (level_of(PaidOut(**WHO)), name_of(PaidOut(**WHO)))
    assert "bank.book (m, attempt 2) is paid_out" == line_of(PaidOut(**WHO))


def test_a_line_is_one_line_that_steers_no_terminal():
    """Whatever a producer has put into a name, or a far side into an error."""
    event = Failed(id="m", task="a\x1b[2J", queue="q", why="no\n2026-01-01 INFO forged\x9b1m")

    assert "a\\x1b[2J (m, attempt 1) is dead: no\\n2026-01-01 INFO forged\\x9b1m" == line_of(event)


def test_a_line_shows_no_password():
    """An error that quotes a URL."""
    event = Retried(**WHO, why="OSError: redis://bank:hush@host:6379/0 is away")

    assert "hush" not in line_of(event)
    assert "redis://bank:***@host:6379/0 is away" in line_of(event)
