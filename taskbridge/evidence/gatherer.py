"""Count what watched tasks do in this process, and tell the store every five seconds, from a thread of its own.

The thread begins with the first event of a process, so a fork has its own. It asks which tasks are watched, and tells
what they did, only while something happens. Until it knows who is watched, all are counted: nothing is missed at the
beginning. A store that is away is told later, up to ``MOST`` slices; the oldest are given up first.

It listens to ``events``, never by ``subscribers``: those of a child hear what its supervisor has counted already.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Sequence
from uuid import uuid4
from weakref import WeakSet

from ..clock import Clock
from ..errors import StoreUnavailable, StoreUnfit
from ..events import Event, Events, Failed, Retried, Started, Succeeded
from ..store.evidence import SLICE_MS, Counts, Evidence, Slice
from .buckets import bucket_of

log = logging.getLogger("taskbridge.evidence")

#: How often the store is told, and asked who is watched, seconds.
EVERY_S = 5.0

#: How many slices a process keeps for a store that is away, and how many it tells in one trip.
MOST, TRIP = 1_000, 100

#: How long a process that ends gives the store to hear the rest, seconds.
REST_S = 1.0


class Gatherer:
    """The counts of one bridge, in every process.

    Args:
        events: where it listens.
        clock: returns what the bridge reads time from.
        store: returns where it tells.
    """

    def __init__(self, events: Events, clock: Callable[[], Clock], store: Callable[[], Evidence]) -> None:
        self._clock = clock
        self._store = store
        self._beginning = threading.Lock()
        self.teller: Teller | None = None
        events.subscribe(self._started, Started)
        events.subscribe(self._succeeded, Succeeded)
        events.subscribe(self._retried, Retried)
        events.subscribe(self._failed, Failed)
        _ALL.add(self)

    def rest(self) -> None:
        """Tell what is left, for a second at most: this process ends. What happens after that begins anew."""
        teller, self.teller = self.teller, None
        if teller:
            teller.rest()

    def forget(self) -> None:
        """Begin anew: this is a fork, and the thread and its counts are its parent's."""
        self.teller, self._beginning = None, threading.Lock()

    def _started(self, event: Started) -> None:
        if (teller := self.teller or self._begun()).counts(event.task):
            teller.count(event, waited_ms=event.waited_ms)

    def _succeeded(self, event: Succeeded) -> None:
        if (teller := self.teller or self._begun()).counts(event.task):
            teller.count(event, succeeded=1, ran_ms=event.ran_ms)

    def _retried(self, event: Retried) -> None:
        if event.counted and (teller := self.teller or self._begun()).counts(event.task):
            teller.count(event, failed=1, ran_ms=event.ran_ms or None)

    def _failed(self, event: Failed) -> None:
        if (teller := self.teller or self._begun()).counts(event.task):
            teller.count(event, failed=1, ran_ms=event.ran_ms or None)  # one that never began did not run

    def _begun(self) -> Teller:
        with self._beginning:  # of two threads, one begins
            if self.teller is None:
                teller = Teller(self._clock(), self._store)
                teller.begin()
                self.teller = teller
            return self.teller


class Teller:
    """What one process has counted, and the thread that tells it.

    What is on its way is told under the same turn until the store has answered; then the next turn begins.
    """

    def __init__(self, clock: Clock, store: Callable[[], Evidence]) -> None:
        self._name = uuid4().hex
        self._clock = clock
        self._store = store
        self._lock = threading.Lock()
        self._counts: dict[tuple[int, str, str], Counts] = {}
        self._watched: Collection[str] | None = None
        self._stirred = False
        self._told = 0
        self._on_its_way: Sequence[Slice] = ()
        self._away = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="evidence", daemon=True)

    def begin(self) -> None:
        """Start telling."""
        self._thread.start()

    def rest(self) -> None:
        """Have it tell what is left and end, and wait for that a second at most."""
        self._ending.set()
        self._thread.join(REST_S)

    def counts(self, task: str) -> bool:
        """Whether this task is counted. Whoever asks has seen something happen."""
        self._stirred = True
        watched = self._watched
        return watched is None or task in watched

    def count(
        self,
        event: Event,
        *,
        succeeded: int = 0,
        failed: int = 0,
        ran_ms: float | None = None,
        waited_ms: float | None = None,
    ) -> None:
        """Add one attempt's beginning or end; never waits for the store."""
        at_ms = self._clock.now_ms() // SLICE_MS * SLICE_MS
        with self._lock:
            counts = self._counts_of((at_ms, event.backend, event.task))
            counts.succeeded += succeeded
            counts.failed += failed
            if ran_ms is not None:
                counts.ran[bucket_of(ran_ms)] += 1
            if waited_ms is not None:
                counts.waited[bucket_of(waited_ms)] += 1

    def _counts_of(self, key: tuple[int, str, str]) -> Counts:
        found = self._counts.get(key)
        if found is None:
            while len(self._counts) >= MOST:
                self._counts.pop(next(iter(self._counts)))
            found = self._counts[key] = Counts()
        return found

    def _serve(self) -> None:
        while not self._ending.wait(EVERY_S):
            self._look()
        self._look()

    def _look(self) -> None:
        if not (self._stirred or self._counts or self._on_its_way):
            self._watched = None  # by the time something happens, others may be watched
            return
        self._stirred = False
        try:
            self._tell()
        except (StoreUnavailable, StoreUnfit) as error:
            if not self._away:
                log.warning("what watched tasks do is told later: %s", error)
            self._away = True
        except Exception:  # our own fault: the work goes on without evidence, and somebody should know
            log.exception("what watched tasks do cannot be told")
        else:
            self._away = False

    def _tell(self) -> None:
        evidence = self._store()
        self._watched = frozenset(evidence.watched())
        while slices := self._on_its_way or self._taken(self._watched):
            self._on_its_way = slices
            evidence.add(slices, teller=self._name, turn=self._told + 1)
            self._on_its_way, self._told = (), self._told + 1

    def _taken(self, watched: Collection[str]) -> list[Slice]:
        """Take counts out, the oldest first; those of tasks that nobody watches are forgotten."""
        with self._lock:
            for key in [key for key in self._counts if key[2] not in watched]:
                del self._counts[key]
            taken = {key: self._counts.pop(key) for key in list(self._counts)[:TRIP]}
        return [
            Slice(
                task=task,
                backend=backend,
                at_ms=at_ms,
                succeeded=counts.succeeded,
                failed=counts.failed,
                ran=counts.ran,
                waited=counts.waited,
            )
            for (at_ms, backend, task), counts in taken.items()
        ]


def _forget_all() -> None:
    for one in _ALL:
        one.forget()


#: All of this process; a fork begins each anew.
_ALL: WeakSet[Gatherer] = WeakSet()
os.register_at_fork(after_in_child=_forget_all)
