"""The loop of a drain: look, take, have the store take over, publish, mark.

A message is in its queue, on the drain's shelf, or in the store, in every instant. Killed anywhere, the next one begins
with the shelf, and the store tells it what it has already. Only one drain of a backend moves at a time, by lease.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from itertools import count

from ..backend import Backend
from ..clock import Clock
from ..errors import BrokerUnavailable, ConfigError, PayloadTooLarge, StoreUnavailable
from ..leftovers import Leftover, Leftovers
from ..message import Message
from ..store import Copy, Store
from .report import Counts, Report
from .verdict import Target, due_ms, stays

log = logging.getLogger("taskbridge")

#: How long the lead of a drain stands unless renewed, and how long between two renewals: 2 s and half a second.
LEAD_MS, RENEW_S = 2_000, 0.5

#: Some brokers say only about how many lie there: so many passes are made, at most, when that many have moved.
PASSES = 3

#: How often a drain that watches looks whether something has come, seconds.
LOOK_EVERY_S = 1.0


class Drain:
    """One drain from one backend to another.

    Args:
        source: where messages lie.
        leftovers: its hand on them.
        backend: where they go.
        target: what can go there.
        store: what takes them over.
        clock: paces it.
        queues: which.
        owner: a name that nobody else has.
    """

    def __init__(
        self,
        source: Backend,
        leftovers: Leftovers,
        backend: Backend,
        target: Target,
        store: Store,
        clock: Clock,
        queues: Sequence[str],
        owner: str,
    ) -> None:
        self.counts = Counts()
        self._source, self._backend, self._target = source, backend, target
        self._leftovers = leftovers
        self._store, self._clock = store, clock
        self._queues, self._owner = list(queues), owner
        self._duty = f"drain:{source.name}"
        self._renewed_s = float("-inf")

    def waiting(self) -> int:
        """How many messages lie in the queues now."""
        return sum(level.waiting for level in self._source.levels(self._queues))

    def report(self, *, dry_run: bool = False) -> Report:
        """Return what was done so far, or would be."""
        return self.counts.report(self._source.name, self._target.name, self._queues, dry_run=dry_run)

    def preview(self) -> Generator[int]:
        """Look at everything and take nothing; yields after each page how many were looked at."""
        self.counts = Counts()
        self.counts.hands = self._leftovers.hands()
        for page in self._leftovers.look():
            now_ms = self._store.now_ms()
            for one in self._going(page, now_ms):
                self.counts.moved[one.task] += 1
                self.counts.delayed[one.task] += due_ms(one) > now_ms
            yield len(page)

    def run(self, quiet_s: float = 0.0) -> Generator[int]:
        """Move what is there, and what comes until nothing came for so long; yields after each step how many it was.

        Left early, or by an error, it puts back what it has taken and not handed over.

        Raises:
            ConfigError: another drain of this backend is under way.
            BrokerUnavailable, StoreUnavailable, StoreFull: it can be started again.
        """
        self._lead(LEAD_MS / 1000 + RENEW_S)
        try:
            yield from self._taken(self._leftovers.stranded())
            yield from self._settle_down(quiet_s)
            self.counts.hands = self._leftovers.hands()
        finally:
            self._close()

    def _settle_down(self, quiet_s: float) -> Generator[int]:
        """Pass after pass, until one moves nothing; then look again until it was quiet for so long.

        Without that, what was there is moved, and a busy producer cannot keep it going.
        """
        quiet_until_s, left = self._clock.monotonic_s() + quiet_s, self.waiting()
        for passes in count(1):
            before, looks_s = self.counts.dealt(), self._clock.monotonic_s()
            yield from self._pass()
            moved = self.counts.dealt() - before
            left -= moved
            if moved:
                quiet_until_s = self._clock.monotonic_s() + quiet_s
            if quiet_s and (moved or looks_s < quiet_until_s):  # one that was held up tells of no time since
                self._clock.sleep(0 if moved else LOOK_EVERY_S)
                yield 0
            elif quiet_s or not moved or (left <= 0 and passes >= PASSES):
                return

    def _pass(self) -> Generator[int]:
        """All queues once, and what nobody holds any more."""
        self.counts.staying.clear()
        self._lead()
        self._source.keeper(self._queues).sweep()
        yield from self._taken(self._leftovers.seize())
        for page in self._leftovers.look():
            self._hand_over(self._leftovers.take(self._going(page, self._store.now_ms())))
            self._lead()
            yield len(page)

    def _taken(self, pages: Iterable[list[Leftover]]) -> Generator[int]:
        """What lies on a shelf already: what cannot move goes back to its queue, and is told of there."""
        for page in pages:
            going = self._going(page, self._store.now_ms(), tell=False)
            self._hand_over(going)
            moved = {id(one) for one in going}
            self._leftovers.give_back([one for one in page if id(one) not in moved])
            self._lead()
            yield len(page)

    def _going(self, page: Sequence[Leftover], now_ms: int, *, tell: bool = True) -> list[Leftover]:
        going = []
        for one in page:
            why = stays(one, self._source.engine, self._target, now_ms)
            if not why:
                going.append(one)
            elif tell:
                self.counts.staying[one.task, why] += 1
        return going

    def _hand_over(self, taken: Sequence[Leftover]) -> None:
        """The store takes them over, they are forgotten where they lay, and what is due is published."""
        for shelf in dict.fromkeys(one.shelf for one in taken):
            few = [one for one in taken if one.shelf == shelf]
            copies = [
                Copy(message=one.message, due_ms=due_ms(one), tag=one.tag if one.held else "")
                for one in few
                if one.message is not None
            ]
            adopted = self._store.outbox.adopt(copies, shelf, self._source.name)
            if unknown := [one for one in few if not one.held]:
                self._leftovers.forget(unknown)
            due = []
            for copy, found in zip(copies, adopted, strict=True):
                message = copy.message
                if found.state == "READY":
                    due.append(message.copy(seq=found.seq, released_at_ms=self._store.now_ms()))
                self.counts.moved[message.task] += found.state in ("READY", "DELAYED", "HELD")
                self.counts.delayed[message.task] += found.state in ("DELAYED", "HELD")
                self.counts.copies[message.task] += found.state == "KNOWN"
            if due:
                self._publish(due)

    def _publish(self, due: Sequence[Message]) -> None:
        try:
            self._backend.publish(due, kept=True)
        except PayloadTooLarge as error:
            log.warning("%d messages are left to the relay, which tells apart what is too large: %s", len(due), error)
        else:
            to = dict.fromkeys((message.id for message in due), self._target.name)
            self._store.outbox.mark([(message.id, message.seq) for message in due], to)

    def _lead(self, patience_s: float = 0.0) -> None:
        """Take the lead, or keep it; one that was killed has it for a few seconds more."""
        asked_s = self._clock.monotonic_s()
        if asked_s - self._renewed_s < RENEW_S:
            return
        until_s = asked_s + patience_s
        while not self._store.leader.hold(self._duty, self._owner, LEAD_MS):
            if self._clock.monotonic_s() >= until_s:
                raise ConfigError(f"another drain of {self._source.name} is under way: wait until it has ended")
            self._clock.sleep(min(0.2, patience_s))
            asked_s = self._clock.monotonic_s()
        self._renewed_s = asked_s  # the lead is no younger than the question, whatever halts us behind the answer

    def _close(self) -> None:
        try:
            self._leftovers.close()
            self._store.leader.resign(self._duty, self._owner)
        except (BrokerUnavailable, StoreUnavailable) as error:
            log.warning("what was taken and not handed over comes back by itself, or with the next drain: %s", error)
