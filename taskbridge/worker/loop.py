"""One loop in one thread, the same for every engine: fetch, decode, begin, run, finish with acknowledgement.

``finish`` of one message travels with ``begin`` of the next when that one is in hand, and at once when it is not.
A message is never acknowledged before the store has the next state; what the store cannot be told is told again.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ..attempt import attempt
from ..backend import Consumer, Delivery, Runner
from ..claimed import Claimed, Watch
from ..errors import BrokerUnavailable, StoreUnavailable
from ..events import Buried
from ..execution import accepted, ask, told
from ..message import raw_id
from ..outcome import Outcome
from ..patience import patiently
from ..runtime import Runtime
from ..settling import judge, telling
from ..store import Finish
from .pace import Pace
from .slots import Slot
from .tenure import Tenure

log = logging.getLogger("taskbridge.worker")

#: How long an idle child waits for the bell before it looks by itself, seconds.
WAIT_S = 1.0

#: How long to leave an absent broker alone, seconds.
AWAY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where messages come from: one backend's consumer, and the hooks they run in."""

    backend: str
    consumer: Consumer
    runner: Runner


@dataclass(slots=True)
class Ran:
    """A message that was run, and is yet to be told."""

    source: Source
    claimed: Claimed
    outcome: Outcome
    finish: Finish
    cell: int


class Loop:
    """The life of a child.

    Args:
        owner: the child's name, new with each process.
        sources: its backends, served in turn.
        runtime: what running needs.
        slot: where its claims are shown.
        wait: waits for the bell, at most so many seconds, or until one of some file descriptors can be read.
        ring: wakes another child, for there is more.
        watch: who ends this process at a hard timeout. Defaults to nobody.
        tenure: how long this child serves. Defaults to until it is told to stop.
    """

    def __init__(
        self,
        owner: str,
        sources: Sequence[Source],
        runtime: Runtime,
        slot: Slot,
        wait: Callable[[float, Sequence[int]], None],
        ring: Callable[[], None],
        *,
        watch: Watch | None = None,
        tenure: Tenure | None = None,
    ) -> None:
        self.stopping = False
        self._owner = owner
        self._sources = deque(sources)
        self._runtime = runtime
        self._slot = slot
        self._wait = wait
        self._ring = ring
        self._watch = watch
        self._tenure = tenure
        self._pace = Pace()
        self._hand: deque[tuple[Source, Delivery]] = deque()
        self._emptied = slot.emptied
        self._ran: Ran | None = None
        self._cell = 0

    def run(self) -> None:
        """Serve until told to stop; then settle what ran and give back what was not begun."""
        while not self.stopping:
            if not self.step():
                self._wait(WAIT_S, self._ears())
        self._settle()
        self._give_back()

    def step(self) -> bool:
        """Serve one message; False when there was none."""
        if self._slot.emptied != self._emptied:  # a long run: the supervisor gave back what we had not begun
            self._emptied = self._slot.emptied
            self._hand.clear()
        if not self._hand:
            self._settle()
            self._fetch()
        if not self._hand:
            return False
        source, delivery = self._hand.popleft()
        if delivery.withdrawn:
            return True
        if delivery.message is None:
            self._bury(source, delivery)
        else:
            self._serve(source, delivery)
        return True

    def _serve(self, source: Source, delivery: Delivery) -> None:
        claimed, cell = self._begin(source, delivery)
        if not accepted(claimed, self._runtime):
            self._slot.clear(cell, self._runtime.clock.monotonic_s())
            self._acknowledge(source, delivery)
            return
        outcome = self._run_in_hooks(source, claimed)
        self._pace.ran(claimed.ran_ms)
        self._ran = Ran(source, claimed, outcome, telling(claimed, outcome, self._runtime), cell)
        if self._tenure and (why := self._tenure.ran()):
            log.info("child %d goes and is replaced: %s", os.getpid(), why)
            self.stopping = True

    def _run_in_hooks(self, source: Source, claimed: Claimed) -> Outcome:
        try:
            return source.runner.run(claimed.delivery, partial(attempt, claimed, self._runtime))
        except (Exception, SystemExit) as error:  # the hooks' own failure is the attempt's
            log.exception("the hooks of %s failed around %s", source.backend, claimed.message.task)
            return judge(error, claimed, self._runtime)

    def _begin(self, source: Source, delivery: Delivery) -> tuple[Claimed, int]:
        """Claim this delivery; what ran before it is told on the same trip."""
        message = delivery.message
        assert message is not None
        self._cell = cell = 1 - self._cell
        claim = f"{self._owner}:{source.backend}:{delivery.tag}"
        self._slot.write(cell, message.id, claim, self._runtime.clock.monotonic_s())
        request = ask(delivery, message, claim, self._runtime)
        claims, clock = self._runtime.store.claims, self._runtime.clock
        if self._ran is None:
            begun = patiently(lambda: claims.begin(request), clock)
        else:
            finish = self._ran.finish
            answer, begun = patiently(lambda: claims.finish_and_begin(finish, request), clock)
            self._told(answer)
        claimed = Claimed(
            delivery=delivery,
            message=message,
            claim=claim,
            backend=source.backend,
            begun=begun,
            watch=self._watch,
            stopping=lambda: self.stopping,
        )
        return claimed, cell

    def _settle(self) -> None:
        """Tell what ran, for nothing is in hand that it could travel with."""
        if self._ran is not None:
            finish = self._ran.finish
            self._told(patiently(lambda: self._runtime.store.claims.finish(finish), self._runtime.clock))

    def _told(self, answer: str) -> None:
        ran, self._ran = self._ran, None
        assert ran is not None
        self._slot.clear(ran.cell, self._runtime.clock.monotonic_s())
        if answer == "unknown":  # the store has lost the record: the engine's copy is all there is
            self._return(ran.source, [ran.claimed.delivery])
        else:
            self._acknowledge(ran.source, ran.claimed.delivery)
        told(ran.claimed, answer, ran.outcome, self._runtime)

    def _acknowledge(self, source: Source, delivery: Delivery) -> None:
        """Let the broker forget what the store has settled, where the store's script could not."""
        if delivery.held is None:
            try:
                source.consumer.acknowledge(delivery)
            except (BrokerUnavailable, StoreUnavailable) as error:
                log.warning("%s was settled and not acknowledged; it will be recognised: %s", delivery.tag, error)

    def _bury(self, source: Source, delivery: Delivery) -> None:
        """Bytes that are no message: among the dead letters, as they are."""
        id = raw_id(delivery.raw)
        log.error("%s: buried as %s: %s", delivery.queue, id, delivery.problem)
        dead = self._runtime.store.dead
        bury = partial(dead.bury, id, delivery.queue, delivery.raw, delivery.problem, delivery.held)
        patiently(bury, self._runtime.clock)
        buried = Buried(id=id, task="", queue=delivery.queue, backend=source.backend, why=delivery.problem)
        self._runtime.events.emit(buried)
        self._acknowledge(source, delivery)

    def _fetch(self) -> None:
        """Take messages from the first backend that has some; another begins next time."""
        for _ in range(len(self._sources)):
            source = self._sources[0]
            self._sources.rotate(-1)
            try:
                deliveries = source.consumer.fetch(self._pace.ahead)
            except (BrokerUnavailable, StoreUnavailable) as error:
                log.warning("%s; trying again in %.1f s", error, AWAY_S)
                self._wait(AWAY_S, ())
                continue
            self._slot.alive(self._runtime.clock.monotonic_s())
            if deliveries:
                self._hand.extend((source, delivery) for delivery in deliveries)
                if source.consumer.more:
                    self._ring()
                return

    def _ears(self) -> list[int]:
        return [ear for source in self._sources for ear in source.consumer.ears]

    def _give_back(self) -> None:
        for source in self._sources:
            self._return(source, [delivery for of, delivery in self._hand if of is source])
        self._hand.clear()

    def _return(self, source: Source, deliveries: Sequence[Delivery]) -> None:
        try:
            source.consumer.give_back(deliveries)
        except (BrokerUnavailable, StoreUnavailable) as error:
            log.warning("%d messages were not given back and come again by themselves: %s", len(deliveries), error)
