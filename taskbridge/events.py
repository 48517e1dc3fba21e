"""What happened, told to whoever listens. A listener cannot break the work.

Metrics, Sentry, logs and users listen; nothing in taskbridge waits for them. Spans are milliseconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

log = logging.getLogger("taskbridge.events")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to one message."""

    id: str
    task: str
    queue: str
    backend: str = ""
    attempt: int = 1


class Sent(Event, frozen=True, kw_only=True):
    """It was enqueued, or the store made it: a link, a chunk, a callback, a tick. A repeat of a call tells nothing."""

    delay_ms: int = 0


class Received(Event, frozen=True, kw_only=True):
    """A worker has taken a copy of it and asked the store whether it may begin."""


class Started(Event, frozen=True, kw_only=True):
    """``begin`` was accepted. ``waited_ms`` is the time in queue: delay, back-off and parking are not counted.

    ``parked_ms`` is how long it waited in the store since its last start, and ``parked_for`` for what, or for the most
    part: "lock" or "limit", empty if it did not. ``throttled_ms`` of it were for limits.
    """

    waited_ms: int = 0
    parked_ms: int = 0
    parked_for: str = ""
    throttled_ms: int = 0


class Succeeded(Event, frozen=True, kw_only=True):
    """The task returned and the store knows it."""

    ran_ms: float = 0


class Retried(Event, frozen=True, kw_only=True):
    """It runs again after ``after_ms``; ``counted`` says whether an attempt was spent."""

    after_ms: int = 0
    counted: bool = True
    why: str = ""
    ran_ms: float = 0


class Failed(Event, frozen=True, kw_only=True):
    """It went to the dead letters."""

    why: str = ""
    error: BaseException | None = None
    ran_ms: float = 0


class Dropped(Event, frozen=True, kw_only=True):
    """It ended without a run or by its own wish: ``how`` is expired, dropped or purged."""

    how: str = ""
    why: str = ""


class ParkedForRelease(Event, frozen=True, kw_only=True):
    """It waits for a newer worker."""

    why: str = ""


class Waiting(Event, frozen=True, kw_only=True):
    """It waits in the store, unstarted: ``how`` is locked or throttled, ``key`` says for what."""

    how: str = ""
    key: str = ""


class Repeated(Event, frozen=True, kw_only=True):
    """A copy was recognised and acknowledged unrun; ``verdict`` is what ``begin`` said."""

    verdict: str = ""


class Buried(Event, frozen=True, kw_only=True):
    """Bytes that are no message went to the dead letters; ``task`` is empty."""

    why: str = ""


class ClaimRefused(Event, frozen=True, kw_only=True):
    """A result came after the claim had gone to another worker."""


Listener = Callable[[Event], None]


class Events:
    """A list of listeners, called in the order they came."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Listener:
        """Call ``listener`` with each event from now on; returns it, so that it serves as a decorator."""
        self._listeners.append(listener)
        return listener

    @property
    def heard(self) -> bool:
        """Whether anybody listens: who would tell of many messages asks first."""
        return bool(self._listeners)

    def emit(self, event: Event) -> None:
        """Tell every listener; one that raises is logged and does no harm."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("listener %r failed on %s", listener, type(event).__name__)
