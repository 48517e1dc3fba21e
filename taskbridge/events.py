"""What happened, told to whoever listens. A listener cannot break the work.

These are the events of the package, for users too: ``bridge.subscribe`` tells them in a thread of their own
(``subscribers.py``). ``bridge.events`` tells at once, in the thread where it happened: metrics, Sentry and logs listen
there. Spans are milliseconds, instants unix milliseconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

log = logging.getLogger("taskbridge.events")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to one message.

    Args:
        id: the message's, the same over all its attempts.
        task: the name of the task.
        queue: the one it was sent to.
        backend: the one that carries it, by its name in the settings.
        attempt: which one this is, or would be, from 1.
        at_ms: when a subscriber's process saw it, by the store's clock; 0 for those who are told at once.
    """

    id: str
    task: str
    queue: str
    backend: str = ""
    attempt: int = 1
    at_ms: int = 0


class Sent(Event, frozen=True, kw_only=True):
    """It was enqueued, or the store made it: a link, a chunk, a callback, a tick. A repeat of a call tells nothing.

    Args:
        delay_ms: how much later it is due.
        size: of its arguments as JSON, bytes.
    """

    delay_ms: int = 0
    size: int = 0


class Received(Event, frozen=True, kw_only=True, gc=False):
    """A worker has taken a copy of it and asked the store whether it may begin."""


class Started(Event, frozen=True, kw_only=True, gc=False):
    """The store has let it begin; its task is called next.

    Args:
        waited_ms: the time in queue; delay, back-off and parking are not counted.
        parked_ms: how long it waited in the store since its last start.
        parked_for: for what, or for the most part: ``lock`` or ``limit``; empty if it did not.
        throttled_ms: how much of it was for limits.
    """

    waited_ms: int = 0
    parked_ms: int = 0
    parked_for: str = ""
    throttled_ms: int = 0


class Succeeded(Event, frozen=True, kw_only=True, gc=False):
    """The task returned and the store knows it.

    Args:
        ran_ms: how long it ran, with its hooks.
    """

    ran_ms: float = 0


class Retried(Event, frozen=True, kw_only=True):
    """It ran, and runs again.

    Args:
        after_ms: how much later.
        counted: whether an attempt was spent: it failed. ``Reschedule`` and ``Throttled`` spend none.
        why: the error, or what the task has said.
        ran_ms: how long it ran, with its hooks.
    """

    after_ms: int = 0
    counted: bool = True
    why: str = ""
    ran_ms: float = 0


class Failed(Event, frozen=True, kw_only=True):
    """It went to the dead letters: the last attempt failed, or it never could run.

    Args:
        why: the error, or what else was wrong.
        error: the exception, in the process that ran it, or a ``HardTimeout``; None where no error stands for it, and
            for a subscriber behind which a hundred events wait.
        ran_ms: how long the last attempt ran, with its hooks.
    """

    why: str = ""
    error: BaseException | None = None
    ran_ms: float = 0


class Dropped(Event, frozen=True, kw_only=True):
    """It ended without a run, or by its own wish.

    Args:
        how: ``expired``, ``skipped`` (its lock was held), ``dropped`` (``Drop``), ``purged`` or ``cancelled``.
        why: in words.
    """

    how: str = ""
    why: str = ""


class ParkedForRelease(Event, frozen=True, kw_only=True):
    """It waits for a newer worker.

    Args:
        why: which task, or which argument, this one does not know.
    """

    why: str = ""


class Waiting(Event, frozen=True, kw_only=True):
    """It waits in the store, unstarted.

    Args:
        how: ``locked``, ``throttled``, ``paused``, or ``delayed``: a native producer has sent it so.
        key: of the lock or the limit, or what is paused: ``task NAME``, ``queue NAME`` or ``key KEY``.
    """

    how: str = ""
    key: str = ""


class Repeated(Event, frozen=True, kw_only=True):
    """A copy was recognised and acknowledged unrun.

    Args:
        verdict: ``settled`` (it has ended), ``stale`` (there is a newer copy) or ``busy`` (another worker runs it).
    """

    verdict: str = ""


class Buried(Event, frozen=True, kw_only=True):
    """Bytes that are no message went to the dead letters; ``task`` is empty.

    Args:
        why: what is wrong with them.
    """

    why: str = ""


class Shadowed(Event, frozen=True, kw_only=True):
    """A message that is shadowed has a copy, of which this tells; ``id`` is the message's own, not the copy's.

    Args:
        how: ``ran``, ``unrun`` (a worker has it and does not run it) or ``unsent``.
        why: what the copy came to beside its original, or what was wrong.
        ran_ms: how long the copy ran.
    """

    how: str = ""
    why: str = ""
    ran_ms: float = 0


class ClaimRefused(Event, frozen=True, kw_only=True):
    """A result came after the claim had gone to another worker.

    Args:
        why: what the store has answered.
    """

    why: str = ""


#: The kinds of the package, by name.
KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}

Listener = Callable[[Event], object]

L = TypeVar("L", bound=Callable[[Any], object])


class Events:
    """Listeners, called where it happens, in the order they came."""

    def __init__(self) -> None:
        self._listeners: list[tuple[Callable[[Any], object], tuple[type[Event], ...]]] = []
        self._of: dict[type[Event], list[Callable[[Any], object]]] = {}

    def subscribe(self, listener: L, *kinds: type[Event]) -> L:
        """Call ``listener`` with each event of these kinds from now on, with all when none is named; returns it."""
        self._listeners.append((listener, kinds or (Event,)))
        self._of = {}  # another one: a thread that looks now may still fill the old one
        return listener

    def hears(self, kind: type[Event]) -> bool:
        """Whether anybody listens to this kind: who would tell of many messages asks first."""
        return bool(self._listeners_of(kind))

    def emit(self, event: Event) -> None:
        """Tell every listener; one that raises is logged and does no harm."""
        for listener in self._of.get(type(event)) or self._listeners_of(type(event)):
            try:
                listener(event)
            except (Exception, SystemExit):
                log.exception("listener %r failed on %s", listener, type(event).__name__)

    def _listeners_of(self, kind: type[Event]) -> list[Callable[[Any], object]]:
        known = self._of
        found = known.get(kind)
        if found is None:
            found = known[kind] = [listener for listener, kinds in self._listeners if issubclass(kind, kinds)]
        return found
