"""Users' listeners: told in threads of their own, so that one that is slow, stuck or broken cannot hurt the work.

Each has a queue and a daemon thread in each process, made with the first event there: a fork has its own. What comes
when ``MOST`` wait is dropped, and the log says how many; what waits when a process is killed is lost with it. Telling
costs the work the time to put an event into a queue.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, overload
from weakref import WeakSet

import msgspec

from .clock import Clock, SystemClock
from .errors import ConfigError
from .events import Event, Events
from .options import check_function

log = logging.getLogger("taskbridge.events")

#: How many events may wait for one listener in one process.
MOST = 10_000

#: Behind so many an event waits without its error: that holds its frames, and all that these had in hand.
MOST_WITH_ERRORS = 100

#: A listener that was idle is woken for the first event, and looks again after so long, seconds: a thread that woke for
#: each would take the interpreter from the task as often.
GATHER_S = 0.01

#: How long a process that ends lets its listeners hear what waits for them, seconds.
FLUSH_S = 1.0

#: How often the log says that one fails or does not keep up, seconds.
SAY_EVERY_S = 60.0

L = TypeVar("L", bound=Callable[[Event], object])
R = TypeVar("R")
E1 = TypeVar("E1", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)


class Subscribers:
    """The users' listeners of one bridge.

    Args:
        events: where they are told of.
        clock: returns what the bridge reads time from.
    """

    def __init__(self, events: Events, clock: Callable[[], Clock]) -> None:
        self._events = events
        self._own = Events()
        self._clock = clock
        self._all: list[Subscriber] = []

    @overload
    def subscribe(self, listener: L, /) -> L: ...
    @overload
    def subscribe(self, listener: Callable[[E1], R], one: type[E1], /) -> Callable[[E1], R]: ...
    @overload
    def subscribe(
        self, listener: Callable[[E1 | E2], R], one: type[E1], two: type[E2], /
    ) -> Callable[[E1 | E2], R]: ...
    @overload
    def subscribe(
        self, listener: Callable[[E1 | E2 | E3], R], one: type[E1], two: type[E2], three: type[E3], /
    ) -> Callable[[E1 | E2 | E3], R]: ...
    @overload
    def subscribe(self, listener: L, /, *kinds: type[Event]) -> L: ...
    @overload
    def subscribe(self, one: type[E1], /) -> Callable[[Callable[[E1], R]], Callable[[E1], R]]: ...
    @overload
    def subscribe(
        self, one: type[E1], two: type[E2], /
    ) -> Callable[[Callable[[E1 | E2], R]], Callable[[E1 | E2], R]]: ...
    @overload
    def subscribe(
        self, one: type[E1], two: type[E2], three: type[E3], /
    ) -> Callable[[Callable[[E1 | E2 | E3], R]], Callable[[E1 | E2 | E3], R]]: ...
    @overload
    def subscribe(self, one: type[Event], /, *kinds: type[Event]) -> Callable[[L], L]: ...
    def subscribe(self, first: Any, /, *kinds: Any) -> Any:
        """Call a listener with each event of this process, of some kinds or of all, in a thread of its own.

        ``subscribe(listener)``, ``subscribe(listener, Failed, Retried)``; as a decorator ``@subscribe`` and
        ``@subscribe(Failed, Retried)``. The kinds are the classes of ``taskbridge.events``; ``Event`` is all of them.

        Raises:
            ConfigError: what is no kind of event, or a listener that cannot be called with one.
        """
        if isinstance(first, type) and issubclass(first, Event):
            _check((first, *kinds))
            return lambda listener: self._add(listener, (first, *kinds))
        _check(kinds)
        return self._add(first, kinds)

    def hears(self, kind: type[Event]) -> bool:
        """Whether any of them asked for this kind."""
        return self._own.hears(kind)

    def tell(self, event: Event) -> None:
        """Tell them, and nobody else, of what happened in another process."""
        self._own.emit(event)

    @property
    def dropped(self) -> int:
        """How many events were not told in this process, all listeners together: too many waited."""
        return sum(line.dropped for line in self._lines())

    def flush(self, at_most_s: float = FLUSH_S) -> bool:
        """Let them hear what waits for them in this process; returns whether all have, within so long."""
        return _flushed(self._lines(), at_most_s)

    def close(self) -> None:
        """Let them hear what waits, for a second at most; the log says what they have missed."""
        _close(self._lines())

    def _lines(self) -> list[Line]:
        return [line for one in self._all if (line := one.line)]

    def _add(self, listener: L, kinds: Sequence[type[Event]]) -> L:
        check_function("subscribe", listener, "event")
        subscriber = Subscriber(listener, self._clock)
        self._all.append(subscriber)
        for events in (self._events, self._own):
            events.subscribe(subscriber.offer, *kinds)
        return listener


class Subscriber:
    """One listener, in every process; ``clock`` returns what time is read from."""

    def __init__(self, listener: Callable[[Any], object], clock: Callable[[], Clock]) -> None:
        self._listener = listener
        self._clock = clock
        self._lines: dict[int, Line] = {}

    @property
    def line(self) -> Line | None:
        """What waits for it in this process; None when nothing has happened here."""
        return self._lines.get(os.getpid())

    def offer(self, event: Event) -> None:
        """Have it told; never waits."""
        (self.line or self._begin()).put(event)

    def _begin(self) -> Line:
        mine = Line(self._listener, self._clock())
        line = self._lines.setdefault(os.getpid(), mine)
        if line is mine:  # of two threads, one begins
            line.begin()
        return line


class Line:
    """What waits for one listener in one process, and the thread that tells it, in order."""

    def __init__(self, listener: Callable[[Any], object], clock: Clock) -> None:
        self.dropped = 0
        self._listener = listener
        self._clock = clock
        self._waiting: SimpleQueue[tuple[Event, int] | threading.Event] = SimpleQueue()
        self._hurry = threading.Event()
        self._drops = Seldom(clock)
        self._failures = Seldom(clock)

    def begin(self) -> None:
        """Start telling."""
        name = f"subscriber {getattr(self._listener, '__name__', '')}".rstrip()
        threading.Thread(target=self._serve, name=name, daemon=True).start()
        _BEGUN.add(self)

    def put(self, event: Event) -> None:
        """Add an event, unless too many wait. A signal may interrupt this at any point."""
        waiting = self._waiting.qsize()
        if waiting < MOST:
            if waiting >= MOST_WITH_ERRORS and getattr(event, "error", None) is not None:
                event = msgspec.structs.replace(event, error=None)
            self._waiting.put((event, event.at_ms or self._clock.now_ms()))
            return
        self.dropped += 1
        if count := self._drops.more():
            log.warning("%d events are not told to %r: it does not keep up", count, self._listener)

    def mark(self) -> threading.Event:
        """Return what is set when all that waits now was told."""
        mark = threading.Event()
        self._hurry.set()
        self._waiting.put(mark)
        return mark

    def last_words(self) -> None:
        """Say what was not told."""
        if count := self._drops.rest() + self._waiting.qsize():
            log.warning("%d events are not told to %r: it has not kept up", count, self._listener)

    def _serve(self) -> None:
        while True:
            told = self._waiting.get()
            self._hurry.wait(GATHER_S)
            with suppress(Empty):
                while True:
                    self._tell(told)
                    told = self._waiting.get_nowait()
            del told  # with its error, and all that the frames of that hold: the next may be a long time coming

    def _tell(self, told: tuple[Event, int] | threading.Event) -> None:
        if isinstance(told, threading.Event):
            self._hurry.clear()
            told.set()
            return
        event, at_ms = told
        try:
            self._listener(msgspec.structs.replace(event, at_ms=at_ms))
        except BaseException:  # a cancelled coroutine, an exit: its thread serves on
            if count := self._failures.more():
                kind = type(event).__name__
                log.exception("listener %r failed on %s, the last of %d times", self._listener, kind, count)


class Seldom:
    """Counts what may happen often, and answers at most once a minute how often it did since the last answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._silent_until_s = float("-inf")

    def more(self) -> int:
        """Count one; 0 is no answer."""
        self._count += 1
        now_s = self._clock.monotonic_s()
        if now_s < self._silent_until_s:
            return 0
        self._silent_until_s = now_s + SAY_EVERY_S
        return self.rest()

    def rest(self) -> int:
        """Answer how often it did since the last answer."""
        count, self._count = self._count, 0
        return count


def _flushed(lines: Sequence[Line], at_most_s: float) -> bool:
    clock = SystemClock()
    until_s = clock.monotonic_s() + at_most_s
    marks = [line.mark() for line in lines]
    return all(mark.wait(max(0.0, until_s - clock.monotonic_s())) for mark in marks)


def _close(lines: Sequence[Line]) -> None:
    _flushed(lines, FLUSH_S)
    for line in lines:
        line.last_words()


def _check(kinds: Sequence[object]) -> None:
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise ConfigError(f"subscribe: expected kinds of taskbridge.events such as Failed, got {kind!r}")


#: Those whose thread runs in this process; a fork tells of its own.
_BEGUN: WeakSet[Line] = WeakSet()
os.register_at_fork(after_in_child=_BEGUN.clear)
atexit.register(lambda: _close(list(_BEGUN)))
